"""A plan made by hand, for tests of a load without sockets."""

from typing import Any

from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending

SECOND_NS = 1_000_000_000


def made_plan(**changed: Any) -> Plan:
    """A closed loop of three connections, for a second, but for what is `changed`."""
    fields: dict[str, Any] = {
        "driver": Driver.PROTOCOL,
        "sources": ("192.0.2.1",),
        "destinations": ("192.0.2.2",),
        "port": 80,
        "http": "1.1",
        "requests": 1,
        "ending": Ending.CLIENT_FIN,
        "think_ns": 0,
        "loop": ClosedLoop(3),
        "duration_ns": SECOND_NS,
        "interval_ns": SECOND_NS,
        "timeouts": Timeouts(*4 * (SECOND_NS,)),
        "seed": 1,
    }
    return Plan(**(fields | changed))
