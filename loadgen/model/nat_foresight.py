"""What a NAT's few ports lead to, in words: before the run. Pure."""

from collections.abc import Iterator

from loadgen.model.situation import Situation, nat_ports
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import How, Side
from loadgen.text.numbers import count

TRACKED_S = 120
"""How long conntrack keeps an entry in TIME_WAIT, if no sysctl says otherwise (K28)."""
_TIMEOUT = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"


def translated(variant: Variant, state: Situation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sentences, each with the settings that it follows from."""
    pool = nat_ports(variant)
    if pool is None:
        return
    loop = variant.load.loop
    if isinstance(loop, OpenLoop):
        open_at_once = min(loop.rate / state.requests * state.pause_s, loop.connections)
        key = "load.open_loop.rate"
    else:
        open_at_once, key = float(loop.connections), "load.closed_loop.connections"
    if open_at_once > pool:
        yield (
            f"the NAT has {count(pool)} ports for {count(open_at_once)} connections at a time: it drops the"
            " SYNs of the others, and connect() times out (no EADDRNOTAVAIL)",
            (key, "lab.nat.ports"),
        )
    elif state.rate is not None and state.ending.how is How.FIN:
        asked = variant.lab.sysctl.nat.get(_TIMEOUT, "")
        kept_s = int(asked) if asked.isdecimal() else TRACKED_S
        full_s = pool / state.rate
        if full_s < min(kept_s, state.duration_s):
            meets = state.ending.side is Side.SERVER
            then = (
                "; each meets a TIME-WAIT of the server, which refuses about half of the SYNs: those"
                " connections take 1 s longer"
                if meets
                else ""
            )
            yield (
                f"from {full_s:.1f} s on each of the NAT's {count(pool)} ports has a conntrack entry, which"
                f" lasts {kept_s} s: above {pool / kept_s:,.3g} connections/s it gives ports to new"
                " connections early" + then,
                ("load.open_loop.rate", "lab.nat.ports", f"lab.sysctl.nat.{_TIMEOUT}"),
            )
