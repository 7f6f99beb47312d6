"""What a run's records show of its connections, and no packet does. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loadgen.records.events import FaultBegan, FaultEnded, LabOpened, Origin
from loadgen.scenario.choices import Act
from loadgen.tcp import Side

BUCKETS = "net.ipv4.tcp_max_tw_buckets"
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Happening:
    """What the script did on a side at `t_ns`. `gone`: the host left, and its connections with it."""

    t_ns: int
    side: Side
    words: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """Of a variant: `roomless`, the sides whose kernels destroyed each TIME-WAIT at once, because
    tcp_max_tw_buckets was 0 (K14); and what the script did, in ns since the epoch."""

    roomless: frozenset[Side] = frozenset()
    script: tuple[Happening, ...] = ()

    def since(self, begin_ns: int) -> list[Happening]:
        """What the script did from an instant on, in order of time, in ns since that instant."""
        later = [replace(one, t_ns=one.t_ns - begin_ns) for one in self.script if one.t_ns >= begin_ns]
        return sorted(later, key=lambda one: one.t_ns)


NOTHING = Beside()


def beside(records: Iterable[object]) -> Beside:
    """What these records show."""
    roomless: frozenset[Side] = frozenset()
    script: list[Happening] = []
    zero_ns = 0
    for one in records:
        match one:
            case Origin():
                zero_ns = round(one.wall_s * _SECOND_NS) - one.t_ns
            case LabOpened():
                roomless = frozenset(side for side in Side if one.sysctls.get(side, {}).get(BUCKETS) == "0")
            case FaultBegan():
                what = one.detail if one.do == Act.DROP else ""
                words = " ".join(filter(None, (one.do, what)))
                script.append(Happening(one.t_ns, one.on, words, one.do == Act.CRASH))
            case FaultEnded():
                script.append(Happening(one.t_ns, one.on, f"{one.do} over"))
            case _:
                pass
    return Beside(roomless, tuple(replace(one, t_ns=zero_ns + one.t_ns) for one in script))
