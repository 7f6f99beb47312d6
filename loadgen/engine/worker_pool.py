"""The load workers of a variant, led and heard as one: one origin, one stream of records, one end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from loadgen.engine.child import SILENCE_S, Child, ChildDiedError
from loadgen.records.gather import Gathering, Taken
from loadgen.records.latency import Counts, Histograms, Latency
from loadgen.records.types import Event, Interval, Record

Emit = Callable[[Record | Latency], None]


class _Chorus:
    """A word that counts once everyone who can still say it has."""

    def __init__(self, workers: int) -> None:
        self._awaited = set(range(workers))
        self._heard_ns: list[int] = []
        self._counted = False

    def say(self, worker: int, t_ns: int = 0) -> int | None:
        """This one says it, at `t_ns`; the latest of all those times, where it makes the word count."""
        self._heard_ns.append(t_ns)
        return self.leave(worker)

    def leave(self, worker: int) -> int | None:
        """This one says nothing more; the same."""
        self._awaited.discard(worker)
        if self._awaited or self._counted or not self._heard_ns:
            return None
        self._counted = True
        return max(self._heard_ns)


class Crew:
    """Gives the load workers their words, and theirs to the run.

    `emit` takes their records, `quiet` is called once no exchange is under way in any of them, `died` for
    each that ends before its time. The others go on, and all that it said counts. A command that drives is
    a crew of one: it says nothing while it runs, its keeper bounds that, and `noted` hears how it ended.
    `gap` is called with each span that a worker did not observe, and the worker's name.
    """

    def __init__(
        self,
        workers: Sequence[Child],
        interval_ns: int,
        emit: Emit,
        quiet: Callable[[], None],
        died: Callable[[ChildDiedError], None],
        noted: Callable[[str, dict[str, Any]], None],
        gap: Callable[[str, dict[str, Any]], None],
        patience_s: float | None = SILENCE_S,
    ) -> None:
        self._workers = workers
        self._emit = emit
        self._quiet = quiet
        self._died = died
        self._noted = noted
        self._gap = gap
        self._patience_s = patience_s
        self._gathering = Gathering(len(workers), interval_ns)
        self._histograms = Histograms(emit)
        self._load_ends = _Chorus(len(workers))
        self._all_quiet = _Chorus(len(workers))

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    async def ready(self) -> None:
        """Raises ChildDiedError where one ends instead."""
        for worker in self._workers:
            await worker.expect("ready")

    def begin(self, origin_ns: int) -> None:
        """Have the load begin at this instant of CLOCK_MONOTONIC."""
        self._tell(json.dumps({"origin_ns": origin_ns}))

    def stop(self) -> None:
        """Have the load end now."""
        self._tell("stop")

    async def hear(self) -> None:
        """Listen to all of them to their ends."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self._workers)):
                    group.create_task(self._hear(number))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._histograms.flush()

    def _tell(self, line: str) -> None:
        for worker in self._workers:
            worker.tell(line)

    async def _hear(self, number: int) -> None:
        async for taken in self._taken(number):
            self._pass_on(self._gathering.add(number, taken))
        self._pass_on(self._gathering.leave(number))
        self._load_has_ended(self._load_ends.leave(number))
        self._are_quiet(self._all_quiet.leave(number))

    async def _taken(self, number: int) -> AsyncIterator[Taken]:
        """A worker's intervals, each with its latencies; what else it says is heeded as it comes."""
        interval: Interval | None = None
        latencies: list[Counts] = []
        async for line in self._workers[number].lines(self._patience_s):
            kind = line.pop("type")
            if kind == "latency":
                latencies.append(Counts.from_json(line))
                continue
            # The latencies follow their interval: any other word tells that they are complete.
            if interval is not None:
                yield Taken(interval, latencies)
                interval, latencies = None, []
            match kind:
                case "interval":
                    interval = Interval.from_json(line)
                case "load_ends":
                    self._load_has_ended(self._load_ends.say(number, line["t_ns"]))
                case "quiet":
                    self._are_quiet(self._all_quiet.say(number))
                case "gap":
                    self._gap(self._workers[number].what, line)
                case "command_ended":
                    self._noted(kind, line)
                case "over":
                    return
                case other:
                    raise RuntimeError(f"the load worker said {other!r}")
        if interval is not None:
            yield Taken(interval, latencies)
        self._died(await self._workers[number].died())

    def _load_has_ended(self, t_ns: int | None) -> None:
        if t_ns is not None:
            self._emit(Event(t_ns, "load_ends"))

    def _are_quiet(self, said: int | None) -> None:
        if said is not None:
            self._quiet()

    def _pass_on(self, stream: Iterable[Taken]) -> None:
        for taken in stream:
            self._emit(taken.interval)
            self._histograms.advance(taken.interval.end_ns)
            for counts in taken.latencies:
                self._histograms.add(counts)
