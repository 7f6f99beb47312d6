"""Choices that a scenario offers and a load worker carries out: quick to import, for both."""

from enum import StrEnum


class Driver(StrEnum):
    """What makes the connections."""

    PROTOCOL = "protocol"
    """churn's own client: asyncio Protocols on uvloop."""
    AIOHTTP = "aiohttp"
    """The client that people use."""


class Arrivals(StrEnum):
    """The process by which requests arrive in an open loop."""

    CONSTANT = "constant"
    """One every 1/rate seconds."""
    POISSON = "poisson"
    """Independent of each other, as from many users: exponential gaps with mean 1/rate."""
