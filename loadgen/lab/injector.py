"""Faults of the lab itself, from a process of its own: links and sysctls, each at its instant.

Run as `python -m loadgen.lab.injector`. It is inside of the lab, and all that it changes is in the lab's
namespaces: if it is killed, they go with churn and the other processes (K25).

    > plan                       one JSON line (`Plan`); the namespaces' descriptors are inherited
    < Ready
    > Begin                      steps are timed from this origin
    < Acted, Undone, Refused     as they happen, at instants of CLOCK_MONOTONIC
    < Dropped                    what a drop has dropped, once it is undone, or at the end
    > Stop                       or end of file: what is to be undone is undone now, then
    < Over
"""

import os
import select
from collections.abc import Callable, Mapping
from time import monotonic_ns

from loadgen.kernel import sock_destroy
from loadgen.lab import delays, drops, links, namespaces, sysctls
from loadgen.lab.errors import LabUnavailable, Part, SysctlRefused
from loadgen.lab.faults import (
    Acted,
    Crash,
    Cut,
    Delay,
    Drop,
    Dropped,
    Plan,
    Refused,
    Step,
    Sysctl,
    Undone,
)
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Begin, Over, Ready

Undo = Callable[[], None]


def act(step: Step) -> Undo:
    """Do what the step says, in the namespace of the calling thread; how to undo it.

    Raises LabUnavailable or SysctlRefused.
    """
    match step.does:
        case Cut(interfaces):
            for name in interfaces:
                links.take_down(name)

            def up() -> None:
                for name in interfaces:
                    links.take_up(name)

            return up
        case Crash(ends):
            # In this order: the RST for a destroyed connection then has no address to leave by.
            for end in ends:
                links.silence(end)
            try:
                sock_destroy.destroy_connections()
            except OSError as error:
                why = f"connections cannot be destroyed: {error.strerror}"
                raise LabUnavailable(Part.LINKS, why, "use cut") from error

            def back() -> None:
                for end in ends:
                    links.configure_end(end)

            return back
        case Sysctl(values):
            before = {key: sysctls.read(key) for key in values}

            def write(wanted: Mapping[str, str | None]) -> None:
                for key, value in wanted.items():
                    if value is not None:
                        sysctls.set_asked(sysctls.Setting(step.node, key, value))

            write(values)
            return lambda: write(before)
        case Drop() as drop:
            drops.install(_table(step), drop)
            return lambda: drops.lift(_table(step), drop)
        case Delay(interfaces, delay_ns):
            for name in interfaces:
                delays.add(name, delay_ns)

            def remove() -> None:
                for name in interfaces:
                    delays.remove(name)

            return remove


def _table(step: Step) -> str:
    """The name of a drop's rules."""
    return f"script{step.number}"


class Injector:
    """Takes the steps as their instants come."""

    def __init__(self, plan: Plan, lines: Lines) -> None:
        self._plan = plan
        self._lines = lines
        self._waiting = sorted(plan.steps, key=lambda step: step.at_ns)
        self._active: dict[int, tuple[Step, Undo]] = {}
        self._origin_ns = 0

    def run(self, origin_ns: int) -> None:
        """Until a line or the end of stdin; what has an end is undone at the latest then."""
        self._origin_ns = origin_ns
        while True:
            due_ns = self._due_ns()
            wait_s = None if due_ns is None else max(due_ns - monotonic_ns(), 0) / 1e9
            if select.select([0], [], [], wait_s)[0]:
                break
            self._take()
        for step, _ in list(self._active.values()):
            if step.end_ns is not None:
                self._undo(step)
            elif isinstance(step.does, Drop):
                namespaces.enter_network(self._plan.networks[step.node])
                self._count(step, step.does)

    def _due_ns(self) -> int | None:
        ends = [step.end_ns for step, _ in self._active.values() if step.end_ns is not None]
        offsets = [*ends, *(step.at_ns for step in self._waiting[:1])]
        return self._origin_ns + min(offsets) if offsets else None

    def _take(self) -> None:
        """Undo what is over, and begin what is due."""
        now_ns = monotonic_ns() - self._origin_ns
        for step, _ in list(self._active.values()):
            if step.end_ns is not None and step.end_ns <= now_ns:
                self._undo(step)
        while self._waiting and self._waiting[0].at_ns <= now_ns:
            step = self._waiting.pop(0)
            namespaces.enter_network(self._plan.networks[step.node])
            try:
                self._active[step.number] = step, act(step)
            except (LabUnavailable, SysctlRefused) as error:
                self._refused(step, error)
            else:
                self._lines.say(Acted(step.number, monotonic_ns()))

    def _undo(self, step: Step) -> None:
        _, undo = self._active.pop(step.number)
        namespaces.enter_network(self._plan.networks[step.node])
        try:
            undo()
        except (LabUnavailable, SysctlRefused) as error:
            self._refused(step, error)
        else:
            self._lines.say(Undone(step.number, monotonic_ns()))
            if isinstance(step.does, Drop):
                self._count(step, step.does)

    def _count(self, step: Step, drop: Drop) -> None:
        try:
            segments = drops.dropped(_table(step), drop)
            if step.end_ns is not None:
                drops.remove(_table(step), drop)
        except LabUnavailable as error:
            self._refused(step, error)
        else:
            self._lines.say(Dropped(step.number, monotonic_ns(), segments))

    def _refused(self, step: Step, error: LabUnavailable | SysctlRefused) -> None:
        why = error.cause if isinstance(error, LabUnavailable) else str(error)
        self._lines.say(Refused(step.number, monotonic_ns(), why))


def read_line() -> bytes:
    """One line of stdin, read without a buffer: what select() waits for must not lie in one of ours."""
    read = bytearray()
    while not read.endswith(b"\n") and (byte := os.read(0, 1)):
        read += byte
    return bytes(read)


def main() -> None:
    plan = decode(read_line(), Plan)
    namespaces.enter_user(plan.user)
    lines = Lines()
    lines.say(Ready())
    begin = read_line()
    if begin:
        Injector(plan, lines).run(decode(begin, Begin).origin_ns)
    lines.say(Over())
    lines.close()


if __name__ == "__main__":
    main()
