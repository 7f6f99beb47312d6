"""What stages of a load lead to, in words: where ports run out, and where they come back. Pure."""

from collections.abc import Iterator

from loadgen.records.prediction import Prediction
from loadgen.scenario.document import Variant
from loadgen.text.numbers import count, duration

_SETTINGS = ("load.stages", "lab.client.ports")


def staged(variant: Variant, prediction: Prediction) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sentences about the stages, each with the settings that it follows from."""
    if not prediction.stages:  # a closed loop through a proxy: its rate is unknown
        return
    for stage, asked in zip(prediction.stages, variant.load.stages, strict=True):
        since = f", from {duration(stage.begin_s)} on" if stage.begin_s else ""
        name = f"stage {stage.number} ({asked.words}{since})"
        if stage.ports_gone_s is not None and stage.ports_gone_s - stage.begin_s < asked.lasts / 1e9:
            back_s = stage.ports_back_s
            until = f" to {back_s:.1f} s" if back_s is not None else " on"
            yield f"{name}: no port is left from {stage.ports_gone_s:.1f} s{until}", _SETTINGS
        elif any(earlier.ports_gone_s is not None for earlier in prediction.stages[: stage.number - 1]):
            if asked.level:
                yield f"{name}: ports have come back, and each attempt finds one", _SETTINGS
            elif stage.time_wait:
                held = f"{count(stage.time_wait)} TIME-WAITs are left at its end, each with its port"
                yield f"{name}: {held}", _SETTINGS
    idle = variant.server.idle_timeout
    if variant.connection.requests > 1 and variant.load.open_loop is not None:
        for number, asked in enumerate(variant.load.stages, start=1):
            if not asked.level and asked.lasts > idle:
                yield (
                    f"stage {number} lasts {asked.lasts} without a request, and server.idle_timeout is"
                    f" {idle}: the server closes the kept connections first",
                    ("load.stages", "server.idle_timeout"),
                )
