"""CPU use per process: what the workers of a viewpoint used of their cores, and how long they waited.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.records.types import Sample


@dataclass(frozen=True, slots=True)
class Core:
    """One process's use of a core, as shares of the time: used, and waited for while ready to run."""

    used: float
    waited: float

    @property
    def wanted(self) -> float:
        return self.used + self.waited


def cores_used(samples: Sequence[Sample], viewpoint: str, until_ns: int) -> float:
    """Cores that all processes of a viewpoint used, on average, from the beginning of the load until then."""
    under = _under_load(samples, until_ns)
    return (
        (_cpu_ns(under[-1], viewpoint) - _cpu_ns(under[0], viewpoint)) / _length_ns(under) if under else 0.0
    )


def cores(samples: Sequence[Sample], viewpoint: str, until_ns: int) -> list[Core]:
    """The same for each process; empty if the samples do not list them one by one."""
    under = _under_load(samples, until_ns)
    if not under:
        return []
    first, last = under[0].viewpoints[viewpoint], under[-1].viewpoints[viewpoint]
    used_ns = _grown(first.workers_cpu_ns, last.workers_cpu_ns)
    waited_ns = _grown(first.workers_wait_ns, last.workers_wait_ns) or [0] * len(used_ns)
    length_ns = _length_ns(under)
    return [Core(used / length_ns, wait / length_ns) for used, wait in zip(used_ns, waited_ns, strict=False)]


def _grown(first: Sequence[int], last: Sequence[int]) -> list[int]:
    """By how much each grew; empty if their number differs."""
    return (
        [after - before for before, after in zip(first, last, strict=True)] if len(first) == len(last) else []
    )


def _under_load(samples: Sequence[Sample], until_ns: int) -> Sequence[Sample]:
    """The samples from the beginning of the load on; none if there are fewer than two."""
    under = [sample for sample in samples if 0 <= sample.t_ns <= until_ns]
    return under if len(under) > 1 else ()


def _length_ns(samples: Sequence[Sample]) -> int:
    return samples[-1].t_ns - samples[0].t_ns


def _cpu_ns(sample: Sample, viewpoint: str) -> int:
    return sample.viewpoints[viewpoint].cpu_ns or 0
