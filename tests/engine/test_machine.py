"""The checks tell what this machine has, and what it would lack if it did."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.drivers.uring import able
from loadgen.engine import machine
from loadgen.engine.machine import Check, Verdict
from loadgen.lab import sysctls
from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Topology
from loadgen.uring.offer import Offer
from tests.unprivileged import as_ordinary_user

ROOT = Path(__file__).parents[2]


def test_every_check_is_made_and_what_is_not_fine_has_a_remedy(tmp_path: Path) -> None:
    made = machine.checks(descriptors_needed=10, directory=tmp_path)
    names = "kernel namespaces sysctls links TCP hash sock_diag IP_BIND_ADDRESS_NO_PORT io_uring"
    assert " ".join(check.name for check in made) == f"{names} descriptors CPUs disk"
    assert all(check.found for check in made)
    assert all(bool(check.remedy) == (check.verdict is not Verdict.OK) for check in made)
    assert not [check for check in made if check.verdict is Verdict.FAIL]


def test_an_ordinary_user_is_told_of_the_user_namespace() -> None:
    script = """
from loadgen.engine.machine import lab_checks
for check in lab_checks():
    print(check.verdict, check.found)
"""
    argv = as_ordinary_user([sys.executable, "-c", script])
    shown = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=20, cwd=ROOT).stdout
    assert shown.startswith("ok made through a user namespace\n")


def test_the_part_of_a_lab_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: LabSpec) -> Lab:
        raise LabUnavailable(Part.LINKS, "no veth", "load it")

    monkeypatch.setattr(machine, "open_lab", refuse)
    assert machine.lab_checks() == [
        Check("namespaces", Verdict.OK, "made"),
        Check("sysctls", Verdict.OK, "made"),
        Check("links", Verdict.FAIL, "no veth", "load it"),
    ]


def test_a_shared_hash_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    # The host's own namespace stands in for an old kernel's: its hash is not the lab's.
    monkeypatch.setattr(machine, "client_server_lab", lambda: client_server_lab(Topology.HOST))
    monkeypatch.setattr(sysctls, "CHILD_HASH_ENTRIES", "3")
    assert machine.lab_checks()[-1].verdict is Verdict.WARN


def test_an_unknown_socket_option_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IP_BIND_ADDRESS_NO_PORT", 250)
    assert "K10" in machine.bind_address_no_port_check().found


def test_a_command_is_kept_on_the_host_by_root_alone_and_trying_it_changes_nothing() -> None:
    script = """
import os
from loadgen.engine.machine import command_check
before = os.readlink("/proc/self/ns/pid_for_children")
print(command_check("load.command of main"))
assert os.readlink("/proc/self/ns/pid_for_children") == before
"""
    argv = as_ordinary_user([sys.executable, "-c", script])
    shown = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=20, cwd=ROOT).stdout
    assert "no PID namespace on the host for load.command of main: unshare: Operation not permitted" in shown
    if os.geteuid() == 0:
        before = Path("/proc/self/ns/pid_for_children").readlink()
        assert machine.command_check("load.command of main").verdict is Verdict.OK
        assert Path("/proc/self/ns/pid_for_children").readlink() == before


def test_what_io_uring_lacks_is_a_warning_that_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(able, "offer", lambda: Offer("io_uring is forbidden"))
    check = machine.uring_check()
    assert (check.verdict, check.found) == (Verdict.WARN, "io_uring is forbidden")
    assert "auto" in check.remedy


def test_descriptors_are_counted_against_the_hard_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert machine.descriptors_check(hard).verdict is Verdict.OK
    lacking = machine.descriptors_check(hard + 1)
    assert lacking.verdict is Verdict.FAIL
    assert str(hard + 1) in lacking.remedy
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
    try:
        assert machine.raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_single_cpu_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert machine.cpus_check().verdict is Verdict.WARN


def test_more_workers_than_cores_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert machine.cpus_check(3).verdict is Verdict.OK
    check = machine.cpus_check(4)
    assert check.verdict is Verdict.WARN
    assert "3, shared by 4 workers" in check.found
    assert check in machine.checks(descriptors_needed=1, directory=tmp_path, workers=4)


def test_the_disk_is_that_of_a_directory_that_may_not_exist_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(tmp_path) in machine.disk_check(tmp_path / "runs" / "today").found
    assert machine.disk_check(Path("/proc/sys")).verdict is Verdict.FAIL
    monkeypatch.setattr(machine, "LEAST_DISK_BYTES", 1 << 80)
    assert machine.disk_check(tmp_path).verdict is Verdict.WARN


def test_elsewhere_than_on_linux_that_is_all_there_is_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (check,) = machine.checks(descriptors_needed=1, directory=Path())
    assert check.verdict is Verdict.FAIL
