"""The metrics of each stage of a load. Pure."""

from collections.abc import Callable, Mapping, Sequence

from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Placeholder, Unit, Values
from loadgen.analysis.stages import Stage

STAGE: Placeholder[int] = Placeholder(
    "stage",
    "the number of a stage of the load (`load.stages`), from 1 on",
    {},
    word="[1-9][0-9]{0,2}",
    measured=lambda fold, _: {str(number): number for number in range(1, len(fold.stages) + 1)},
)


def _of(take: Callable[[Stage], float | None]) -> Callable[[Fold, Values], float | None]:
    return lambda fold, values: take(fold.stages[values[STAGE] - 1])


def stage_metrics(viewpoint: Placeholder[str]) -> Sequence[Metric]:
    """The metrics of stages; `viewpoint` is where sockets are counted."""

    def waits(take: Callable[[Sequence[int]], float]) -> Callable[[Fold, Values], float | None]:
        def taken(fold: Fold, values: Values) -> float | None:
            counts = fold.stages[values[STAGE] - 1].time_waits(values[viewpoint])
            return take(counts) if counts else None

        return taken

    counts: Mapping[str, tuple[str, Callable[[Fold, Values], float | None]]] = {
        "max": ("the most TIME-WAITs that a sample in the stage found", waits(max)),
        "mean": (
            "the mean number of TIME-WAITs over the stage's time",
            lambda fold, values: fold.stages[values[STAGE] - 1].mean_time_wait(values[viewpoint]),
        ),
        "end": ("TIME-WAITs in the stage's last sample", waits(lambda found: found[-1])),
    }
    return (
        Metric(
            "stage.{stage}.connected",
            Unit.COUNT,
            "connections established in the stage",
            _of(lambda stage: stage.connected),
            (STAGE,),
        ),
        Metric(
            "stage.{stage}.rate",
            Unit.PER_S,
            "connections established per second in the stage; gaps are left out",
            _of(lambda stage: stage.rate),
            (STAGE,),
        ),
        Metric(
            "stage.{stage}.no_port",
            Unit.COUNT,
            "attempts in the stage that failed for want of a port",
            _of(lambda stage: stage.no_port),
            (STAGE,),
        ),
        Metric(
            "stage.{stage}.connect_cpu_ns",
            Unit.NS,
            "the mean CPU time of a call of connect() in the stage",
            _of(lambda stage: stage.connect_cpu_ns),
            (STAGE,),
        ),
        *(
            Metric(
                f"stage.{{stage}}.{{viewpoint}}.time_wait.{name}",
                Unit.SOCKETS,
                sentence,
                take,
                (STAGE, viewpoint),
            )
            for name, (sentence, take) in counts.items()
        ),
    )
