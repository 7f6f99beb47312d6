"""What this machine allows: one `Check` for each thing that churn needs.

Whether a lab can be made is found out by making one: a pair is opened, and closed again.
"""

import os
import platform
import resource
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loadgen.drivers.sockets import IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE, port_range_value
from loadgen.drivers.uring import able
from loadgen.kernel.sock_diag import SockDiag
from loadgen.lab import namespaces, sysctls
from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.tcp import Side, State

LEAST_DISK_BYTES = 256 << 20
"""Free space for a run's records and figures; a long one takes some tens of MB."""

LEAST_CPUS = 2
"""One for a load worker and one for a server worker: on one, each measures the other."""


class Verdict(StrEnum):
    """What a check means for a run."""

    OK = "ok"
    WARN = "warn"
    """The run is possible, with less to see or less to trust."""
    FAIL = "fail"
    """The run is not possible."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and what to do about it (empty if it is fine)."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def checks(*, descriptors_needed: int, directory: Path, workers: int = LEAST_CPUS) -> list[Check]:
    """Check all that a run of so many workers in `directory` needs, in a fraction of a second. Changes
    nothing."""
    if sys.platform != "linux":
        found = f"{platform.system()} {platform.release()}"
        return [Check("kernel", Verdict.FAIL, found, "run churn on Linux: it measures Linux's TCP")]
    return [
        Check("kernel", Verdict.OK, f"Linux {platform.release()}"),
        *lab_checks(),
        sock_diag_check(),
        bind_address_no_port_check(),
        uring_check(),
        descriptors_check(descriptors_needed),
        cpus_check(workers),
        disk_check(directory),
    ]


def command_check(asked: str) -> Check:
    """Whether a command can run in a PID namespace outside of a lab; `asked` is the keys that name it."""
    name = "command"
    try:
        with ThreadPoolExecutor(1) as thread:  # only this thread is changed, and it ends
            thread.submit(namespaces.new_processes).result()
    except OSError as error:
        found = f"no PID namespace on the host for {asked}: {error.strerror}"
        remedy = "run churn as root, or in a lab (`topology: pair`; `churn doctor` shows what that takes)"
        return Check(name, Verdict.FAIL, found, remedy)
    return Check(name, Verdict.OK, "can run in a PID namespace")


def raise_descriptor_limit() -> int:
    """Raise this process's limit on descriptors as far as it may, for its children too; the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def lab_checks() -> list[Check]:
    """Namespaces, links, sysctls and the TCP hash of a lab, found out by opening one."""
    try:
        with open_lab(client_server_lab()) as lab:
            return _checks_of(lab)
    except LabUnavailable as unavailable:
        return _checks_without(unavailable)


def _checks_of(lab: Lab) -> list[Check]:
    how = (
        "with the caller's own privilege" if namespaces.is_own_user(lab.user) else "through a user namespace"
    )
    tcp_hash = Check("TCP hash", Verdict.OK, f"the lab's own, {sysctls.CHILD_HASH_ENTRIES} buckets")
    if lab.sysctls[Side.CLIENT].get(sysctls.HASH) != sysctls.CHILD_HASH_ENTRIES:
        found = "shared with the host: reading sockets takes longer (K22)"
        tcp_hash = Check("TCP hash", Verdict.WARN, found, "use Linux 6.1 or later")
    return [
        Check(Part.NAMESPACES, Verdict.OK, f"made {how}"),
        Check(Part.SYSCTLS, Verdict.OK, "set and read back in the lab"),
        Check(Part.LINKS, Verdict.OK, "a veth pair joins two namespaces"),
        tcp_hash,
    ]


def _checks_without(unavailable: LabUnavailable) -> list[Check]:
    """The parts made before the one that failed are fine; later ones are unknown, and left out."""
    parts = list(Part)
    made = parts[: parts.index(unavailable.part)]
    return [
        *(Check(part, Verdict.OK, "made") for part in made),
        Check(unavailable.part, Verdict.FAIL, unavailable.cause, unavailable.remedy),
    ]


def sock_diag_check() -> Check:
    """Whether the kernel lists sockets by netlink."""
    name = "sock_diag"
    try:
        with SockDiag() as sock_diag:
            listening = sock_diag.dump(socket.AF_INET, [State.LISTEN])
    except OSError as error:
        remedy = "load the kernel's tcp_diag module, as root: modprobe tcp_diag"
        return Check(name, Verdict.FAIL, f"does not answer: {error.strerror}", remedy)
    return Check(name, Verdict.OK, f"answers; {len(listening)} listening here")


def uring_check(*, binds: bool = False) -> Check:
    """Whether the uring driver can run here; `binds`: sockets are bound to their source addresses."""
    why = able.obstacle(binds)
    if not why:
        return Check("io_uring", Verdict.OK, "offers what the uring driver needs")
    return Check("io_uring", Verdict.WARN, why, "`load.driver: auto` takes the protocol driver instead")


def bind_address_no_port_check() -> Check:
    """Whether a socket can be bound to a source address without making its port exclusive (K10)."""
    name = "IP_BIND_ADDRESS_NO_PORT"
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        except OSError:
            found = "not available: a load from several client addresses fails at bind (K10)"
            return Check(name, Verdict.WARN, found, "use Linux 4.2 or later")
    return Check(name, Verdict.OK, "available")


def no_port_range() -> str:
    """Why no socket can have a port range of its own; empty if it can (K9)."""
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, port_range_value(40000, 40000))
        except OSError as error:
            return f"this kernel refuses the socket option IP_LOCAL_PORT_RANGE: {error.strerror}"
    return ""


def descriptors_check(needed: int) -> Check:
    """Whether `needed` sockets can be open at once; a run raises the soft limit to the hard one (K30)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = f", can be raised to {hard}" if hard > soft else ""
    found = f"{needed} needed; limit {soft}{raised}"
    if needed <= hard:
        return Check("descriptors", Verdict.OK, found)
    remedy = f"raise the hard limit, as root: ulimit -Hn {needed}; or run fewer connections"
    return Check("descriptors", Verdict.FAIL, found, remedy)


def cpus_check(workers: int = LEAST_CPUS) -> Check:
    """Whether the workers of both sides can run at once."""
    count = len(os.sched_getaffinity(0))
    if count >= workers:
        return Check("CPUs", Verdict.OK, str(count))
    found = f"{count}, shared by {workers} workers of load and server"
    return Check(
        "CPUs", Verdict.WARN, found, "give churn one for each, or lower load.workers and server.workers"
    )


def disk_check(directory: Path) -> Check:
    """Whether a run's records fit below `directory`, which need not exist yet."""
    place = directory.absolute()
    while not os.path.exists(place):  # noqa: PTH110 - it answers False where the way is barred
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Check("disk", Verdict.FAIL, f"cannot write to {place}", "choose another directory: -o DIR")
    free = shutil.disk_usage(place).free
    found = f"{free >> 20} MiB free in {place}"
    if free >= LEAST_DISK_BYTES:
        return Check("disk", Verdict.OK, found)
    return Check("disk", Verdict.WARN, found, f"free {LEAST_DISK_BYTES >> 20} MiB, or choose another: -o DIR")
