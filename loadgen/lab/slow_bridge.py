"""A bridge that lets packets to one side out slowly: the time in which FINs cross. Only `build` imports it.

On a veth pair a segment arrives within microseconds of its sending, and two FINs practically never cross. So
a bridge between the two sides shapes what the server sends, by HTB: a response that has left makes the FIN
behind it wait, and a client that closes meanwhile sends its own FIN before that one has come. Segments stay
in order, so the server's ACK of the client's FIN comes after its FIN: both sides pass CLOSING (RFC 9293,
figure 13). It is behind the server's interface, so that a capture there has the instants at which TCP sends.

Each class has its own tokens and takes the connections of every 64th port of one parity, so that they do not
wait for each other.
"""

from collections.abc import Sequence

from loadgen.lab.links import await_link, routed

BRIDGE = "bridge0"

RATE = 4_000
"""Bytes a second that a class lets out. A response of 200 bytes or more keeps the FIN for 50 ms at least, and
the FIN the ACK behind it for 16 ms: a busy machine acts within that time."""
BURST = 10
"""Bytes that a class saves up while it is idle: less than a segment, or the FIN would leave at once."""
BITS = 6
"""Bits of the client's port that choose the class, from the second on: ports are of one parity (K8)."""
QUANTUM = 1_514
"""What a class sends in its turn: a frame. What the kernel would derive from the rate is too small."""

ROOT = 1 << 16
"""The handle 1:0."""
_PORT_AT = {0x0800: 23, 0x86DD: 43}
"""By EtherType, the place of the destination port's low byte in a packet: IP headers have no options here."""


def join(names: Sequence[str], slow: str) -> None:
    """Bridge these interfaces of this namespace, and let packets out of the `slow` one slowly.

    Raises LabUnavailable.
    """
    with routed(
        "a link that holds segments back",
        "use closer: client or server; FINs cross only on a kernel with a bridge, sch_htb and cls_u32",
    ) as route:
        route.link("add", ifname=BRIDGE, kind="bridge")
        (bridge,) = route.link_lookup(ifname=BRIDGE)
        for name in names:
            (index,) = route.link_lookup(ifname=name)
            route.link("set", index=index, master=bridge)
        route.link("set", index=bridge, state="up")
        (index,) = route.link_lookup(ifname=slow)
        route.tc("add", "htb", index, handle=ROOT, default=0)
        for number in range(1 << BITS):
            one = ROOT | (number + 1)
            shape = {"rate": RATE, "ceil": RATE, "burst": BURST, "cburst": BURST, "quantum": QUANTUM}
            route.tc("add-class", "htb", index, handle=one, parent=ROOT, **shape)
            for place, (protocol, at) in enumerate(_PORT_AT.items()):
                key = f"{number << 1:#04x}/{((1 << BITS) - 1) << 1:#04x}+{at}"
                filters = {"prio": place + 1, "protocol": protocol, "target": one, "keys": [key]}
                route.tc("add-filter", "u32", index, parent=ROOT, **filters)
    await_link(BRIDGE)
