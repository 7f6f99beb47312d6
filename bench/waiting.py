"""Waiting for what the kernel can be asked about, but cannot announce."""

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from bench.load import SECOND_NS

POLL_S = 0.01


async def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition came true in time; asked a hundred times a second."""
    until_ns = monotonic_ns() + int(limit_s * SECOND_NS)
    while not condition():
        if monotonic_ns() > until_ns:
            return False
        await asyncio.sleep(POLL_S)
    return True
