"""Deadlines: in their order, none early, none after it was cleared."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from time import monotonic_ns

import uvloop

from servers.deadlines import BATCH, Deadlines

LENGTH_NS = 20_000_000


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(count: int, passed: list[tuple[int, int]]) -> None:
    for _ in range(2_000):
        if len(passed) >= count:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{len(passed)} of {count} have passed")


def test_each_passes_once_in_the_order_of_setting_and_never_early() -> None:
    async def main() -> None:
        passed: list[tuple[int, int]] = []
        due = Deadlines[int](
            asyncio.get_running_loop(), LENGTH_NS, lambda one: passed.append((one, monotonic_ns()))
        )
        set_ns = list[int]()
        for one in range(30):
            set_ns.append(monotonic_ns())
            due.set(one)
            await asyncio.sleep(0.001)
        await until(30, passed)
        await asyncio.sleep(2 * LENGTH_NS / 1e9)
        assert [one for one, _ in passed] == list(range(30))
        assert all(at_ns - set_ns[one] >= LENGTH_NS for one, at_ns in passed)

    run(main)


def test_what_is_cleared_does_not_pass_and_what_is_set_again_passes_later() -> None:
    async def main() -> None:
        passed: list[tuple[int, int]] = []
        due = Deadlines[int](
            asyncio.get_running_loop(), LENGTH_NS, lambda one: passed.append((one, monotonic_ns()))
        )
        for one in range(4):
            due.set(one)
        await asyncio.sleep(0.005)
        for one in (0, 2):
            due.clear(one)
        again_ns = monotonic_ns()
        due.set(0)
        await until(3, passed)
        await asyncio.sleep(2 * LENGTH_NS / 1e9)
        assert [one for one, _ in passed] == [1, 3, 0]
        assert passed[-1][1] - again_ns >= LENGTH_NS
        # Nothing was left, and the timer is set anew.
        due.set(7)
        await until(4, passed)
        assert passed[-1][0] == 7

    run(main)


def test_however_many_are_due_the_loop_has_its_turn_between_batches() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batches = [0]
        due = Deadlines[int](loop, LENGTH_NS, lambda _one: batches.__setitem__(-1, batches[-1] + 1))

        def turn() -> None:
            if batches[-1]:
                batches.append(0)
            loop.call_soon(turn)

        for one in range(4 * BATCH + 1):
            due.set(one)
        turn()
        await asyncio.sleep(5 * LENGTH_NS / 1e9)
        assert sum(batches) == 4 * BATCH + 1
        assert max(batches) <= BATCH

    run(main)


def test_to_set_and_clear_takes_as_long_among_many_as_among_few() -> None:
    """Counted in steps, not in time: no operation looks at another deadline."""
    looked = 0

    class Seen(int):
        def __hash__(self) -> int:
            nonlocal looked
            looked += 1
            return super().__hash__()

    async def main() -> None:
        nonlocal looked
        due = Deadlines[Seen](asyncio.get_running_loop(), 3_600_000_000_000, lambda _one: None)
        many = [Seen(number) for number in range(60_000)]
        for one in many:
            due.set(one)
        looked = 0
        for one in random.Random(1).sample(many, 1000):
            due.clear(one)
            due.set(one)
        assert looked <= 1000 * 8

    run(main)
