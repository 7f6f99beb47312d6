"""How much is measured: all of it in a quarter of an hour, or a taste of everything. Pure."""

from dataclasses import dataclass

from bench.load import BEFORE_THE_CLIFF, IN_FLIGHT, Exchange, Load, Pace, Program
from bench.measure import Case
from bench.population import Population
from bench.reading import Study
from loadgen.tcp import Closer

MANY = frozenset({"protocol", "uring", "aiohttp", "floor", "wrk", "h2load"})
"""Those that can have ten thousand in flight."""
SEVERAL = MANY - {"floor"}
"""Those that can have several workers."""
FEW = frozenset({"protocol", "uring", "wrk"})
SIZED = FEW | {"aiohttp"}
"""Those that read a response of any size; the floor does not."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the studies go through. `seconds` is each load's length, `steady` when to look at it."""

    rounds: int
    seconds: int
    steady: Pace
    sizes: tuple[int, ...]
    in_flight: tuple[int, ...]
    others: tuple[int, ...]
    same_path: tuple[int, ...]
    rates: tuple[int, ...]
    punctual_s: int
    sampled: tuple[int, ...]
    sampling_s: int
    held: int
    starts: int


FULL = Scale(
    rounds=3,
    seconds=2,
    steady=Pace(0.5, 1.2),
    sizes=(128, 10_000, 1_000_000),
    in_flight=(1, 10, 100, 1_000, 10_000),
    others=(10_000, 28_000, 112_000),
    # Half of the range is 14,116 ports: one below it, one beyond, one near the end (K8).
    same_path=(10_000, 20_000, 27_000),
    rates=(1_000, 5_000, 10_000, 20_000),
    punctual_s=3,
    sampled=(0, 28_000, 120_000),
    sampling_s=4,
    held=10_000,
    starts=20,
)
QUICK = Scale(
    rounds=1,
    seconds=1,
    steady=Pace(0.2, 0.6),
    sizes=(10_000, 1_000_000),
    in_flight=(1, 100),
    others=(10_000,),
    same_path=(20_000,),
    rates=(1_000, 5_000),
    punctual_s=2,
    sampled=(0, 10_000),
    sampling_s=1,
    held=1_000,
    starts=3,
)


def short(scale: Scale) -> list[Case]:
    return [
        Case(
            Study.SHORT,
            Load(Exchange.SHORT, server, closer, seconds=1 if closer is Closer.CLIENT else scale.seconds),
            BEFORE_THE_CLIFF if closer is Closer.CLIENT else scale.steady,
        )
        for server in Program
        for closer in (Closer.SERVER, Closer.CLIENT)
    ]


def kept(scale: Scale) -> list[Case]:
    return [
        Case(Study.KEPT, Load(Exchange.KEPT, server, Closer.CLIENT, seconds=scale.seconds), scale.steady)
        for server in Program
    ]


def sizes(scale: Scale) -> list[Case]:
    """Short and kept connections over the size of a response."""
    return [
        Case(
            Study.SIZE,
            Load(exchange, Program.NGINX, closer, seconds=scale.seconds, response=size),
            scale.steady,
            tools=SIZED,
        )
        for exchange, closer in ((Exchange.SHORT, Closer.SERVER), (Exchange.KEPT, Closer.CLIENT))
        for size in scale.sizes
    ]


def scaling(scale: Scale) -> list[Case]:
    """Short connections that nginx closes: over the number in flight, over workers, over TIME-WAITs.

    TIME-WAITs are held in two ways, for they can cost in two: those on the same path take the ports that
    the load needs; those towards others take none, and show what a fuller TCP hash costs alone.
    """

    def load(in_flight: int = IN_FLIGHT, workers: int = 1) -> Load:
        return Load(Exchange.SHORT, Program.NGINX, Closer.SERVER, in_flight, workers, scale.seconds)

    populations = [Population(0), *(Population(count) for count in scale.others)]
    populations += [Population(count, same_path=True) for count in scale.same_path]
    return [
        *(Case(Study.IN_FLIGHT, load(number), scale.steady, tools=MANY) for number in scale.in_flight),
        *(Case(Study.WORKERS, load(workers=number), scale.steady, tools=SEVERAL) for number in (1, 2)),
        *(Case(Study.TIME_WAIT, load(), scale.steady, held, FEW) for held in populations),
    ]
