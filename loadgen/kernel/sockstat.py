"""/proc/net/sockstat: how many TCP sockets there are, without walking them."""

from dataclasses import dataclass
from pathlib import Path

from loadgen.kernel.procfile import NET, ParseError, ProcFile

_NAME = "sockstat"


@dataclass(frozen=True, slots=True)
class Sockstat:
    """The `TCP:` line. `inuse` and `tw` are the namespace's, the others the host's (K17).

    inuse   IPv4 sockets in the hash tables; TIME-WAIT and SYN-RECEIVED are not among them
    orphan  sockets that no process holds any more
    tw      minisockets of both families: TIME-WAIT and orphaned FIN-WAIT-2
    alloc   TCP sockets allocated, in whatever state
    mem     pages of socket buffers
    """

    inuse: int
    orphan: int
    tw: int
    alloc: int
    mem: int

    def time_wait(self, fin_wait_2_minisockets: int) -> int:
        """Sockets in TIME-WAIT, given how many of `tw` are in FIN-WAIT-2.

        This is the cheap way (K17): a dump with TIME-WAIT left out costs a tenth of the full one (K20) and
        still shows the FIN-WAIT-2 minisockets. Dump both families, since `tw` holds both. The two
        readings are not one instant, so a burst between them could make the difference negative: then 0.
        """
        return max(self.tw - fin_wait_2_minisockets, 0)


def parse(text: bytes) -> Sockstat:
    """The `TCP:` line of `text`, as `name value` pairs. Raises ParseError if a part is missing."""
    for line in text.splitlines():
        name, *pairs = line.split() or [b""]
        if name == b"TCP:":
            values = dict(zip(pairs[::2], pairs[1::2], strict=False))
            try:
                return Sockstat(
                    inuse=int(values[b"inuse"]),
                    orphan=int(values[b"orphan"]),
                    tw=int(values[b"tw"]),
                    alloc=int(values[b"alloc"]),
                    mem=int(values[b"mem"]),
                )
            except KeyError as missing:
                raise ParseError(_NAME, f"no {missing.args[0].decode()}", line) from None
            except ValueError:
                raise ParseError(_NAME, "not a number", line) from None
    raise ParseError(_NAME, "no TCP line", text[:80])


def open(root: Path = NET) -> ProcFile[Sockstat]:
    """Keep `root`/sockstat open."""
    return ProcFile(root / _NAME, parse)
