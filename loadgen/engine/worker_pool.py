"""The load workers of a variant as one: one origin, one stream of records, one end."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from loadgen.drivers.messages import Quiet, StageEntered, WorkerMessage
from loadgen.engine.child import SILENCE_S, Child, ChildDiedError, together
from loadgen.programs.messages import KeeperMessage
from loadgen.records.aggregation import Aggregation, Taken
from loadgen.records.events import CommandEnded, LoadEnds
from loadgen.records.latency import Counts, Histograms, Latency
from loadgen.records.types import Interval, Record
from loadgen.wire.messages import Begin, Listening, Message, Over, Ready, Stop, Unobserved

Emit = Callable[[Record | Latency], None]
LoadMessage = WorkerMessage | KeeperMessage


class _Latch:
    """Fires once, as soon as every worker that is still alive has reported."""

    def __init__(self, workers: int) -> None:
        self._awaited = set(range(workers))
        self._reported_ns: list[int] = []
        self._fired = False

    def report(self, worker: int, t_ns: int = 0) -> int | None:
        """This worker reports, at `t_ns`. If that fires the latch: the latest of all those times."""
        self._reported_ns.append(t_ns)
        return self.leave(worker)

    def leave(self, worker: int) -> int | None:
        """This worker has ended; the same."""
        self._awaited.discard(worker)
        if self._awaited or self._fired or not self._reported_ns:
            return None
        self._fired = True
        return max(self._reported_ns)


class WorkerPool:
    """Starts and stops the load workers together, and merges their records.

    `emit` takes their records, `quiet` is called once no exchange is under way in any of them, `died` for
    each that ends before its time. The others go on, and all that it reported counts. A command that drives
    is a pool of one: its keeper sends nothing while the command runs, and bounds its time; `ended` is called
    with how it ended. `entered` is called with each stage's number and begin, as the first worker reports it.
    `gap` is called with each span that a worker did not observe, and the worker's name.
    """

    def __init__(
        self,
        workers: Sequence[Child[LoadMessage]],
        interval_ns: int,
        emit: Emit,
        quiet: Callable[[], None],
        died: Callable[[ChildDiedError], None],
        ended: Callable[[CommandEnded], None],
        gap: Callable[[str, Unobserved], None],
        silence_s: float | None = SILENCE_S,
        entered: Callable[[int, int], None] | None = None,
    ) -> None:
        self._workers = workers
        self._emit = emit
        self._quiet = quiet
        self._died = died
        self._ended = ended
        self._gap = gap
        self._silence_s = silence_s
        self._entered = entered
        self._stage = 0
        self._aggregation = Aggregation(len(workers), interval_ns)
        self._histograms = Histograms(emit)
        self._load_ends = _Latch(len(workers))
        self._all_quiet = _Latch(len(workers))

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    async def ready(self) -> None:
        """Wait until all are. Raises ChildDiedError if one ends instead."""
        for worker in self._workers:
            await worker.expect(Ready)

    def begin(self, origin_ns: int) -> None:
        """Have the load begin at this instant of CLOCK_MONOTONIC."""
        self._send(Begin(origin_ns))

    def stop(self) -> None:
        """Have the load end now."""
        self._send(Stop())

    async def run(self) -> None:
        """Receive from all of them until their ends."""
        await together(self._receive(number) for number in range(len(self._workers)))
        self._histograms.flush()

    def _send(self, message: Message) -> None:
        for worker in self._workers:
            worker.send(message)

    async def _receive(self, number: int) -> None:
        async for taken in self._taken(number):
            self._pass_on(self._aggregation.add(number, taken))
        self._pass_on(self._aggregation.leave(number))
        self._load_has_ended(self._load_ends.leave(number))
        self._are_quiet(self._all_quiet.leave(number))

    async def _taken(self, number: int) -> AsyncIterator[Taken]:
        """A worker's intervals, each with its latencies; its other messages are handled as they come."""
        interval: Interval | None = None
        latencies: list[Counts] = []
        async for message in self._workers[number].received(self._silence_s):
            if isinstance(message, Counts):
                latencies.append(message)
                continue
            # The latencies follow their interval: any other message shows that they are complete.
            if interval is not None:
                yield Taken(interval, latencies)
                interval, latencies = None, []
            match message:
                case Interval():
                    interval = message
                case StageEntered():
                    self._stage_begins(message)
                case LoadEnds():
                    self._load_has_ended(self._load_ends.report(number, message.t_ns))
                case Quiet():
                    self._are_quiet(self._all_quiet.report(number))
                case Unobserved():
                    self._gap(self._workers[number].what, message)
                case CommandEnded():
                    self._ended(message)
                case Over():
                    return
                case Ready() | Listening():
                    raise RuntimeError(f"the load worker sent {message}")
        if interval is not None:
            yield Taken(interval, latencies)
        self._died(await self._workers[number].died())

    def _load_has_ended(self, t_ns: int | None) -> None:
        if t_ns is not None:
            self._emit(LoadEnds(t_ns))

    def _stage_begins(self, message: StageEntered) -> None:
        if message.number > self._stage and self._entered is not None:
            self._stage = message.number
            self._entered(message.number, message.t_ns)

    def _are_quiet(self, reported: int | None) -> None:
        if reported is not None:
            self._quiet()

    def _pass_on(self, stream: Iterable[Taken]) -> None:
        for taken in stream:
            self._emit(taken.interval)
            self._histograms.advance(taken.interval.end_ns)
            for counts in taken.latencies:
                self._histograms.add(counts)
