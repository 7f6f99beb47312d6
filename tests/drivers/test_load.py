"""Closed and open loop, with attempts that are scripted: no sockets, only the event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
import uvloop

from loadgen.drivers.arrivals import schedule
from loadgen.drivers.load import START_BUDGET_NS, Attempt, ClosedLoad, Load, OpenLoad, load_of
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.plan import Stage as Part
from loadgen.drivers.tally import Tally
from loadgen.scenario.choices import Arrivals
from loadgen.tcp import Ending
from tests.drivers.plans import made_plan

LIMIT_S = 30
"""Bounds what is awaited; nothing here takes a hundredth of it."""
SECOND_NS = 1_000_000_000
PLAN = made_plan()

both_closers = pytest.mark.parametrize("ending", [Ending.CLIENT_FIN, Ending.SERVER_FIN])


def open_loop(rate: float, connections: int = 100) -> OpenLoop:
    return OpenLoop(rate, Arrivals.CONSTANT, connections, SECOND_NS)


@dataclass(eq=False, slots=True)
class Scripted:
    """An attempt that does what a test tells it, and keeps the counts a real one keeps."""

    stage: "Stage"
    exchanges: int = 0
    intended_ns: list[int] = field(default_factory=list[int])
    finished: bool = False

    def exchange(self, intended_ns: int) -> None:
        assert not self.finished
        self.exchanges += 1
        self.intended_ns.append(intended_ns)
        self.stage.tally.started += 1
        self.stage.exchanging.append(self)

    @property
    def retries(self) -> bool:
        return False

    def rest(self) -> None:
        raise AssertionError("it is looked for an end on idle connections")

    def watch(self) -> None:
        raise AssertionError("it was never left alone")

    def finish(self) -> None:
        assert not self.finished
        self.finished = True
        self.end()

    def respond(self) -> None:
        """The exchange is complete, the connection good for another."""
        self.stage.exchanging.remove(self)
        self.stage.load.idle(self)

    def end(self) -> None:
        """The connection is gone."""
        if self in self.stage.exchanging:
            self.stage.exchanging.remove(self)
        self.stage.open.remove(self)
        self.stage.tally.in_flight -= 1
        self.stage.load.ended(self)


class Stage:
    """A load with scripted attempts. `fails` ends each at once, `blocks_ns` has connect() take so long."""

    def __init__(self, plan: Plan, *, fails: bool = False, blocks_ns: int = 0) -> None:
        self.tally = Tally(plan.loop)
        self.made: list[Scripted] = []
        self.open: list[Scripted] = []
        self.exchanging: list[Scripted] = []
        self.fails = fails
        self.blocks_ns = blocks_ns
        self.load: Load = load_of(plan, self.tally, self.connect)

    def connect(self, intended_ns: int) -> None:
        until_ns = time.monotonic_ns() + self.blocks_ns
        while time.monotonic_ns() < until_ns:
            pass
        attempt = Scripted(self)
        self.made.append(attempt)
        self.open.append(attempt)
        self.tally.attempts += 1
        self.tally.in_flight += 1
        attempt.exchange(intended_ns)
        if self.fails:
            attempt.end()

    @property
    def adds_up(self) -> bool:
        return self.tally.offered == self.tally.started + self.tally.dropped

    @property
    def state(self) -> tuple[bool, bool]:
        return self.load.quiet, self.load.over


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], bool]) -> int:
    """Let the loop go round until it holds; how many rounds that took."""
    rounds = 0
    while not condition():
        await asyncio.sleep(0)
        rounds += 1
    return rounds


# ---- closed loop


def test_a_load_is_what_its_plan_says() -> None:
    async def main() -> None:
        assert isinstance(Stage(PLAN).load, ClosedLoad)
        assert isinstance(Stage(replace(PLAN, loop=open_loop(1))).load, OpenLoad)

    run(main)


def test_closed_keeps_its_number_in_flight() -> None:
    async def main() -> None:
        stage = Stage(PLAN)
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        for number in range(10):
            stage.open[number % 3].end()
            await until(lambda: len(stage.open) == 3)
        assert len(stage.made) == 13
        assert (stage.tally.offered, stage.tally.started, stage.tally.dropped) == (13, 13, 0)

    run(main)


def test_closed_goes_on_at_once_without_think_time() -> None:
    async def main() -> None:
        stage = Stage(PLAN)
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        attempt = stage.open[0]
        attempt.respond()
        assert attempt in stage.exchanging
        assert attempt.exchanges == 2
        assert stage.adds_up

    run(main)


def test_closed_thinks_between_exchanges() -> None:
    async def main() -> None:
        think_ns = 20_000_000
        stage = Stage(replace(PLAN, think_ns=think_ns))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        attempt = stage.open[0]
        began_ns = time.monotonic_ns()
        attempt.respond()
        assert attempt not in stage.exchanging
        await until(lambda: attempt in stage.exchanging)
        # The loop's clock counts whole milliseconds, and may be one behind.
        assert time.monotonic_ns() - began_ns > think_ns - 2_000_000
        # A response is measured from the moment the exchange was meant for: after the thought.
        assert attempt.intended_ns[-1] - began_ns > think_ns - 2_000_000
        assert stage.adds_up

    run(main)


def test_a_connection_that_ends_in_thought_is_not_woken() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, think_ns=1_000_000))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        gone, other = stage.open[:2]
        gone.respond()
        gone.end()
        other.respond()
        await until(lambda: other in stage.exchanging)
        assert gone.exchanges == 1
        assert len(stage.open) == 3
        assert stage.adds_up

    run(main)


def test_connects_that_fail_at_once_leave_the_loop_its_rounds() -> None:
    """Each failure is followed by a new try: without a budget the loop would never come round again."""

    async def main() -> None:
        stage = Stage(PLAN, fails=True)
        stage.load.begin(time.monotonic_ns())
        rounds = await until(lambda: len(stage.made) > 1000)
        assert rounds > 0
        stage.load.end()
        assert stage.state == (True, True)
        made = len(stage.made)
        await asyncio.sleep(0)
        assert len(stage.made) == made
        assert stage.adds_up

    run(main)


@pytest.mark.parametrize("loop", [ClosedLoop(40), open_loop(1e9)], ids=["closed", "open"])
def test_connects_that_block_do_not_starve_the_loop(loop: ClosedLoop | OpenLoop) -> None:
    """Each takes the whole budget, as one that finds no port does: then each gets a round of its own."""

    async def main() -> None:
        stage = Stage(replace(PLAN, loop=loop, duration_ns=40), blocks_ns=START_BUDGET_NS)
        stage.load.begin(time.monotonic_ns())
        assert len(stage.open) == 0
        assert await until(lambda: len(stage.open) == 40) >= 39

    run(main)


# ---- open loop


def test_open_begins_each_arrival_at_its_instant() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, loop=open_loop(1000), duration_ns=50_000_000))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: stage.tally.started == 50)
        assert stage.tally.offered == 50
        begun = [attempt.intended_ns[0] for attempt in stage.made]
        assert {later - earlier for earlier, later in pairwise(begun)} == {1_000_000}
        # Never before its time.
        assert begun[-1] <= time.monotonic_ns()
        # And none after the duration, however long one waits.
        await asyncio.sleep(0.01)
        assert stage.tally.offered == 50

    run(main)


def test_a_closed_loop_follows_its_stages_and_leaves_those_beyond_to_their_end() -> None:
    async def main() -> None:
        stages = (Part(4, SECOND_NS), Part(1, SECOND_NS), Part(6, SECOND_NS))
        stage = Stage(replace(PLAN, loop=ClosedLoop(6), stages=stages, requests=1))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 4)
        stage.load.enter(1)
        assert len(stage.open) == 4
        for attempt in list(stage.open[:3]):
            attempt.end()
        await asyncio.sleep(0.01)
        # Three are not replaced, the one that is left is.
        assert len(stage.made) == 4
        stage.open[0].end()
        await until(lambda: len(stage.made) == 5)
        assert len(stage.open) == 1
        stage.load.enter(6)
        await until(lambda: len(stage.open) == 6)
        stage.load.enter(0)
        for attempt in list(stage.open):
            attempt.end()
        await asyncio.sleep(0.01)
        assert (len(stage.made), stage.open) == (10, [])

    run(main)


def test_what_a_stage_does_not_want_any_more_is_not_opened() -> None:
    async def main() -> None:
        stages = (Part(5, SECOND_NS), Part(2, SECOND_NS))
        stage = Stage(replace(PLAN, loop=ClosedLoop(5), stages=stages))
        stage.load.begin(time.monotonic_ns())
        stage.load.enter(2)
        await until(lambda: len(stage.open) == 2)
        await asyncio.sleep(0.01)
        assert len(stage.made) == 2
        assert (stage.tally.offered, stage.tally.dropped) == (5, 3)

    run(main)


@pytest.mark.parametrize("arrivals", Arrivals)
def test_workers_deal_out_the_one_schedule(arrivals: Arrivals) -> None:
    async def main() -> None:
        loop = OpenLoop(2000, arrivals, 100, SECOND_NS)
        plan = replace(PLAN, loop=loop, duration_ns=20_000_000, seed=7)
        whole = list(schedule(arrivals, plan.course, 7))
        dealt: list[list[int]] = []
        for share in plan.divided(3):
            stage = Stage(share)
            stage.load.begin(time.monotonic_ns())
            # The load's own clock began a moment before the first arrival was looked for.
            due = len(whole[share.worker :: 3])
            await until(lambda stage=stage, due=due: stage.tally.started == due)
            begun = [attempt.intended_ns[0] for attempt in stage.made]
            dealt.append([later - begun[0] for later in begun])
        for number, gaps in enumerate(dealt):
            mine = whole[number::3]
            assert gaps == [start - mine[0] for start in mine]

    run(main)


def test_open_drops_at_the_cap_and_defers_nothing() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, loop=open_loop(1000, connections=4), duration_ns=30_000_000))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: stage.tally.offered == 30 and len(stage.made) == 4)
        assert (stage.tally.started, stage.tally.dropped) == (4, 26)
        # Room again: what was dropped stays dropped.
        for attempt in list(stage.open):
            attempt.end()
        await asyncio.sleep(0.01)
        assert (stage.tally.started, len(stage.made)) == (4, 4)
        assert stage.adds_up

    run(main)


def test_open_takes_the_connection_that_idled_last() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, loop=open_loop(100, connections=3), duration_ns=10 * SECOND_NS))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        first, second, third = stage.made
        for attempt in (first, third, second):
            attempt.respond()
        # However many fall due in one round of the loop.
        await until(lambda: len(stage.exchanging) == 3)
        assert stage.exchanging == [second, third, first]
        assert len(stage.made) == 3
        assert stage.adds_up

    run(main)


def test_open_passes_over_idle_connections_that_ended() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, loop=open_loop(100, connections=2), duration_ns=10 * SECOND_NS))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 2)
        for attempt in list(stage.made):
            attempt.respond()
            attempt.end()
        # One more, or two where both fall due in one round of the loop.
        await until(lambda: len(stage.made) > 2)
        assert {attempt.exchanges for attempt in stage.made} == {1}
        assert stage.adds_up

    run(main)


# ---- the end


@both_closers
@pytest.mark.parametrize("loop", [ClosedLoop(4), open_loop(1e9, connections=4)], ids=["closed", "open"])
def test_the_end_comes_in_order(loop: ClosedLoop | OpenLoop, ending: Ending) -> None:
    async def main() -> None:
        # It thinks for ever: what responds idles.
        stage = Stage(replace(PLAN, loop=loop, ending=ending, think_ns=1000 * SECOND_NS, duration_ns=4))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 4)
        idle, failing, answering, last = stage.made
        idle.respond()
        assert not idle.finished
        stage.load.end()
        # Idle connections are the closer's: the client closes its own at once, the server's are left to it.
        assert idle.finished == (ending is Ending.CLIENT_FIN)
        assert stage.state == (False, False)
        failing.end()
        answering.respond()
        assert answering.finished == (ending is Ending.CLIENT_FIN)
        assert stage.state == (False, False)
        last.respond()
        # No exchange is under way.
        assert stage.state == (True, ending is Ending.CLIENT_FIN)
        if ending is Ending.SERVER_FIN:
            for attempt in (idle, answering, last):
                assert not stage.load.over
                attempt.end()
        assert stage.state == (True, True)
        assert len(stage.made) == 4
        assert stage.adds_up

    run(main)


@both_closers
def test_an_end_before_any_connection_is_over_at_once(ending: Ending) -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, ending=ending, loop=open_loop(0.001)), fails=True)
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.made) == 1)
        assert stage.state == (False, False)
        stage.load.end()
        assert stage.state == (True, True)
        assert stage.adds_up

    run(main)


@pytest.mark.parametrize("loop", [ClosedLoop(50), open_loop(1e9)], ids=["closed", "open"])
def test_what_is_not_begun_at_the_end_is_dropped(loop: ClosedLoop | OpenLoop) -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, loop=loop, duration_ns=50), blocks_ns=START_BUDGET_NS)
        stage.load.begin(time.monotonic_ns())
        stage.load.end()
        # One round's budget, which the first takes whole.
        assert (stage.tally.offered, stage.tally.started, stage.tally.dropped) == (50, 1, 49)
        await asyncio.sleep(0)
        assert len(stage.made) == 1
        stage.open[0].end()
        assert stage.state == (True, True)
        assert stage.adds_up

    run(main)


def test_open_offers_what_is_due_at_its_end_and_no_more() -> None:
    """The loop was held up to the end: the arrivals missed meanwhile are offered, the later ones never."""

    async def main() -> None:
        stage = Stage(replace(PLAN, loop=open_loop(1000), duration_ns=SECOND_NS))
        stage.load.begin(time.monotonic_ns())
        began_ns = time.monotonic_ns()
        while time.monotonic_ns() - began_ns < 5_000_000:
            pass
        stage.load.end()
        assert 6 <= stage.tally.offered < 1000
        assert stage.adds_up
        offered = stage.tally.offered
        await asyncio.sleep(0.005)
        assert stage.tally.offered == offered

    run(main)


def test_a_late_thought_after_the_end_is_not_followed() -> None:
    async def main() -> None:
        stage = Stage(replace(PLAN, think_ns=2_000_000, ending=Ending.SERVER_FIN))
        stage.load.begin(time.monotonic_ns())
        await until(lambda: len(stage.open) == 3)
        attempts: list[Attempt] = list(stage.made)
        for attempt in stage.made:
            attempt.respond()
        stage.load.end()
        await asyncio.sleep(0.01)
        assert stage.exchanging == []
        assert stage.open == attempts
        assert stage.state == (True, False)

    run(main)
