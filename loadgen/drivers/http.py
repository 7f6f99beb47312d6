"""HTTP/1.0 and 1.1 as an application protocol of a driver."""

from functools import partial

from loadgen.drivers.application import Application
from loadgen.drivers.plan import Plan
from loadgen.drivers.request import requests
from loadgen.drivers.response import Memo, ResponseReader


def http(plan: Plan) -> Application:
    """Its requests as a plan has them, and readers that share what one of them has read."""
    memo: Memo = {}
    request, last = requests(plan)
    return Application(request, last, partial(ResponseReader, memo))
