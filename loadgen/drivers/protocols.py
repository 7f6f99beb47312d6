"""The application protocols that there are."""

from loadgen.drivers.application import Application
from loadgen.drivers.http import http
from loadgen.drivers.plan import Plan
from loadgen.drivers.raw import raw


def application(plan: Plan) -> Application:
    """What a plan's connections speak."""
    return http(plan) if plan.raw is None else raw(plan.raw)
