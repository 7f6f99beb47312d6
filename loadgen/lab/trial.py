"""Tries faults in a lab that is made for it: each acts, and is undone at once.

Run as `python -m loadgen.lab.trial`. It reads a plan (`Plan`) from stdin, whose namespaces' descriptors are
inherited, and writes a JSON line (`Unable`) for each step that this machine cannot do.
"""

import sys

from loadgen.lab import namespaces
from loadgen.lab.errors import LabUnavailable
from loadgen.lab.faults import Plan, Unable
from loadgen.lab.injector import act
from loadgen.wire.codec import decode, encode


def main() -> None:
    plan = decode(sys.stdin.buffer.read(), Plan)
    namespaces.enter_user(plan.user)
    for step in plan.steps:
        namespaces.enter_network(plan.networks[step.node])
        try:
            act(step)()
        except LabUnavailable as error:
            print(encode(Unable(step.number, error.cause, error.remedy)).decode(), flush=True)


if __name__ == "__main__":
    main()
