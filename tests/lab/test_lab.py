"""A lab is really made, used, and gone again: as the user who runs the tests, and as an ordinary one."""

import asyncio
import errno
import os
import select
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from loadgen.lab import namespaces, sysctls
from loadgen.lab.errors import Part, SysctlRefused
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.lab.sysctls import SOMAXCONN
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import MOST_ADDRESSES, Family, Topology
from loadgen.tcp import Side
from loadgen.wire.codec import decode, encode
from tests.command import processes_with
from tests.lab.sysctls import NO_ASSASSINATION
from tests.unprivileged import as_ordinary_user

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
"""Bounds a single thing that is awaited, so that a hang is an error and no wait for ever. It says nothing of
speed: ten times as slow on a busy machine, nothing here takes half of it."""

BOTH_LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
BOTH_FAMILIES = pytest.mark.parametrize("family", list(Family))

SERVER = """
import socket, sys
closer, count, *addresses = sys.argv[1:]
def listen(address):
    return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
listeners = [listen(address) for address in addresses]
print(*(listener.getsockname()[1] for listener in listeners), flush=True)
for listener in listeners:
    for _ in range(int(count)):
        connection, peer = listener.accept()
        if closer == "client":
            assert connection.recv(1) == b""
        connection.close()
        print(peer[0], flush=True)
"""

CLIENT = """
import socket, sys
closer, address, port, *sources = sys.argv[1:]
for source in sources:
    connection = socket.create_connection((address, int(port)), 10, (source, 0))
    if closer == "server":
        assert connection.recv(1) == b""
    connection.close()
"""


def run(
    main: Coroutine[Any, Any, None], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await main

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(bounded())


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


async def output(lab: Lab, side: str, argv: Sequence[str], **options: Any) -> str:
    process = await lab.spawn(side, argv, stdout=subprocess.PIPE, **options)
    text, _ = await process.communicate()
    assert process.returncode == 0
    return text.decode()


async def converse(lab: Lab, closer: Side) -> list[str]:
    """One connection from every client address to every server address; the peers the server saw."""
    sources, targets = lab.addresses[Side.CLIENT], lab.addresses[Side.SERVER]
    argv = python(SERVER, closer, len(sources), *targets)
    server = await lab.spawn(Side.SERVER, argv, stdout=subprocess.PIPE)
    assert server.stdout
    ports = (await server.stdout.readline()).split()
    for target, port in zip(targets, ports, strict=True):
        await output(lab, Side.CLIENT, python(CLIENT, closer, target, port.decode(), *sources))
    peers, _ = await server.communicate()
    assert server.returncode == 0
    return peers.decode().split()


async def time_waits(lab: Lab, side: str) -> int:
    sockstat = (await output(lab, side, ["cat", "/proc/net/sockstat"])).split()
    return int(sockstat[sockstat.index("tw") + 1])


@BOTH_FAMILIES
@pytest.mark.parametrize("closer", list(Side))
def test_sides_talk_and_time_wait_stays_with_the_closer(family: Family, closer: Side) -> None:
    async def main() -> None:
        with open_lab(client_server_lab(family=family, sysctls=dict.fromkeys(Side, NO_ASSASSINATION))) as lab:
            assert await converse(lab, closer) == list(lab.addresses[Side.CLIENT])
            left = dict.fromkeys(Side, 0)
            while not any(left.values()):
                left = {side: await time_waits(lab, side) for side in Side}
            assert left == {side: int(side is closer) for side in Side}

    run(main())


@BOTH_FAMILIES
@pytest.mark.parametrize("topology", [Topology.PAIR, Topology.LOOPBACK])
def test_every_address_reaches_every_address(topology: Topology, family: Family) -> None:
    async def main() -> None:
        with open_lab(client_server_lab(topology, family, client_addresses=3, server_addresses=2)) as lab:
            assert await converse(lab, Side.CLIENT) == list(lab.addresses[Side.CLIENT]) * 2

    run(main())


@BOTH_FAMILIES
def test_a_side_has_as_many_addresses_as_allowed(family: Family) -> None:
    async def main() -> None:
        spec = client_server_lab(
            family=family, client_addresses=MOST_ADDRESSES, server_addresses=MOST_ADDRESSES
        )
        with open_lab(spec) as lab:
            for side in Side:
                shown = await output(lab, side, ["cat", "/proc/net/fib_trie", "/proc/net/if_inet6"])
                for address in lab.addresses[side]:
                    packed = socket.inet_pton(socket.AF_INET6, address).hex() if ":" in address else address
                    assert packed in shown

    run(main())


def test_on_loopback_the_sides_share_a_namespace_that_is_not_the_hosts() -> None:
    with open_lab(client_server_lab(Topology.LOOPBACK)) as lab:
        client, server = (os.fstat(lab.networks[side]) for side in Side)
        assert os.path.samestat(client, server)
        assert not os.path.samestat(client, Path("/proc/self/ns/net").stat())


def test_host_topology_is_a_lab_without_namespaces() -> None:
    own = Path("/proc/self/ns/net").readlink()

    async def main() -> None:
        with open_lab(client_server_lab(Topology.HOST, ports=(20_000, 20_099))) as lab:
            for side in Side:
                assert await output(lab, side, ["readlink", "/proc/self/ns/net"]) == f"{own}\n"
            assert await converse(lab, Side.CLIENT) == ["127.0.0.1"]
            assert "K12" in lab.notes[0]
            assert "20000" in lab.notes[1]

    run(main())


def test_settings_are_in_force_on_their_side_alone() -> None:
    asked = {Side.CLIENT: {"net.ipv4.tcp_tw_reuse": "1"}, Side.SERVER: {"net.ipv6.conf.lab0.mtu": "1400"}}

    async def main() -> None:
        with open_lab(client_server_lab(ports=(20_000, 20_099), sysctls=asked)) as lab:
            for key in ("net.ipv4.tcp_tw_reuse", sysctls.PORT_RANGE, "net.ipv6.conf.lab0.mtu"):
                path = "/proc/sys/" + key.replace(".", "/")
                shown = {side: " ".join((await output(lab, side, ["cat", path])).split()) for side in Side}
                expected = {
                    "net.ipv4.tcp_tw_reuse": {Side.CLIENT: "1", Side.SERVER: "2"},
                    sysctls.PORT_RANGE: {Side.CLIENT: "20000 20099", Side.SERVER: "32768 60999"},
                    "net.ipv6.conf.lab0.mtu": {Side.CLIENT: "1500", Side.SERVER: "1400"},
                }
                assert shown == expected[key]
                told = {side: lab.sysctls[side][key] for side in Side if key in lab.sysctls[side]}
                assert told.items() <= shown.items()
                assert Side.SERVER in told

    run(main())


def test_a_lab_has_its_own_hash_and_the_hosts_limits() -> None:
    with open_lab(client_server_lab()) as lab:
        for side in Side:
            for key in sysctls.HOST_LIMITS:
                assert lab.sysctls[side][key] == sysctls.read(key)
        own = lab.sysctls[Side.CLIENT].get(sysctls.HASH) == sysctls.CHILD_HASH_ENTRIES
        assert own == (sysctls.read(sysctls.CHILD_HASH) is not None)
        assert own == (not lab.notes)


@pytest.mark.parametrize("topology", [Topology.PAIR, Topology.LOOPBACK])
def test_the_limit_of_backlogs_is_raised_to_the_servers_unless_a_setting_says_otherwise(
    topology: Topology,
) -> None:
    def limits(backlog: int, **asked: str) -> list[int]:
        spec = client_server_lab(
            topology, sysctls={Side(side): {SOMAXCONN: asked[side]} for side in asked}, backlog=backlog
        )
        with open_lab(spec) as lab:
            return [int(lab.sysctls[side][SOMAXCONN]) for side in Side]

    client, usual = limits(0)
    assert client == usual
    assert limits(usual - 1) == [usual, usual]
    raised = usual + 1 if topology is Topology.LOOPBACK else usual
    assert limits(usual + 1) == [raised, usual + 1]
    assert limits(usual + 1, server="7")[1] == 7


def test_the_host_is_left_alone() -> None:
    def host() -> tuple[object, ...]:
        named = Path("/run/netns")
        return (
            sysctls.read_all([*sysctls.REPORTED, sysctls.CHILD_HASH]),
            socket.if_nameindex(),
            sorted(named.iterdir()) if named.exists() else None,
            Path("/proc/self/mountinfo").read_text(),
            len(list(Path("/proc/self/fd").iterdir())),
        )

    before = host()
    asked = {Side.CLIENT: {"net.core.somaxconn": "7"}}
    with open_lab(client_server_lab(ports=(20_000, 20_099), sysctls=asked, backlog=60_000)) as lab:
        assert lab.sysctls[Side.CLIENT]["net.core.somaxconn"] == "7"
        assert host()[:-1] == before[:-1]
    assert host() == before


@pytest.mark.parametrize(
    ("topology", "key", "value", "answer"),
    [
        (Topology.PAIR, "net.ipv4.no_such_thing", "1", "no such sysctl"),
        (Topology.PAIR, "net.ipv4.tcp_mem", "1 2 3", "no such sysctl"),  # K26
        (Topology.PAIR, "net.ipv4.tcp_tw_reuse", "7", os.strerror(errno.EINVAL)),
        (Topology.PAIR, "kernel.hostname", "x", "only net.*"),
        (Topology.PAIR, "net.ipv4.../../kernel/hostname", "x", "only net.*"),
        (Topology.LOOPBACK, "net.ipv4.tcp_tw_reuse", "1", "client asks for '0'"),
        (Topology.LOOPBACK, sysctls.PORT_RANGE, "1024 2048", "`ports`"),
        (Topology.HOST, "net.ipv4.tcp_tw_reuse", "1", "left alone"),
    ],
)
def test_a_setting_that_cannot_be_had_is_refused(
    topology: Topology, key: str, value: str, answer: str
) -> None:
    asked = {Side.SERVER: {key: value}}
    if "client" in answer:
        asked[Side.CLIENT] = {key: "0"}
    with pytest.raises(SysctlRefused) as refused, open_lab(client_server_lab(topology, sysctls=asked)):
        pass
    where = topology if topology.shared and "client" not in answer else Side.SERVER
    assert (refused.value.side, refused.value.key, refused.value.value) == (where, key, value)
    assert answer in refused.value.answer
    assert key in str(refused.value)


def test_ports_that_the_kernel_refuses_are_refused() -> None:
    with pytest.raises(SysctlRefused) as refused, open_lab(client_server_lab(ports=(100, 50))):
        pass
    assert (refused.value.key, refused.value.value) == (sysctls.PORT_RANGE, "100 50")


@BOTH_LOOPS
def test_a_process_gets_descriptors_environment_and_a_session_of_its_own(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    script = """
import os, sys
os.write(int(sys.argv[1]), os.environ["WORD"].encode())
print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))
for descriptor in os.listdir("/proc/self/fd"):
    path = f"/proc/self/fd/{descriptor}"
    if os.path.lexists(path) and os.readlink(path).startswith(("user:", "net:")):
        print("the lab's descriptor", descriptor)
"""

    async def main() -> None:
        with open_lab(client_server_lab()) as lab:
            reading, writing = os.pipe()
            argv = python(script, writing)
            shown = await output(lab, Side.CLIENT, argv, pass_fds=[writing], env={"WORD": "hello"})
            assert shown == "True ''\n"
            assert os.read(reading, 100) == b"hello"
            os.close(reading)
            os.close(writing)
            with pytest.raises(FileNotFoundError):
                await lab.spawn(Side.CLIENT, ["no-such-command"])

    run(main(), new_loop)


@BOTH_LOOPS
def test_a_process_inside_can_visit_both_sides(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    script = """
import socket, sys
from loadgen.lab.namespaces import enter_network, enter_user
user, *visits = sys.argv[1:]
enter_user(int(user))
for network, address in zip(map(int, visits[::2]), visits[1::2]):
    enter_network(network)
    socket.create_server((address, 0)).close()
"""

    async def main() -> None:
        with open_lab(client_server_lab()) as lab:
            visits = [
                word for side in (*Side, *Side) for word in (lab.networks[side], lab.addresses[side][0])
            ]
            descriptors = lab.descriptors
            await output(lab, Side.CLIENT, python(script, lab.user, *visits), pass_fds=descriptors)
            outside = await asyncio.create_subprocess_exec(
                *python(script, lab.user, *visits), pass_fds=descriptors
            )
            assert await outside.wait() == 0

    run(main(), new_loop)


@BOTH_LOOPS
def test_nothing_remains_after_sigkill(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    script = f"""
import asyncio, uvloop
from loadgen.lab.lab import open_lab
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.lab.topology import client_server_lab
from loadgen.tcp import Side
async def main():
    with open_lab(client_server_lab()) as lab:
        children = [await lab.spawn(side, ["sleep", "60"]) for side in Side]
        print("ready", flush=True)
        await asyncio.gather(*(child.wait() for child in children))
asyncio.Runner(loop_factory={new_loop.__module__}.new_event_loop).run(main())
""".replace("asyncio.events.", "asyncio.")
    # The mark is inherited: whoever could hold a namespace of this lab carries it.
    mark = f"CHURN_TEST={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    argv = python(script)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, name: value}, cwd=ROOT) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        carriers = processes_with(mark)
        descriptors = [os.pidfd_open(pid) for pid in carriers if pid != parent.pid]
        assert len(descriptors) == 2
        assert parent.pid in carriers
        parent.kill()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], LIMIT_S)[0], "a child outlived its parent"
        os.close(descriptor)
    assert processes_with(mark) == []


@pytest.mark.parametrize("limit", ["max_net_namespaces", "max_user_namespaces"])
def test_a_limit_of_no_namespaces_is_named(limit: str) -> None:
    # In a user namespace of its own, the limit is set to 0 for itself. To meet the limit on user
    # namespaces one must need one: an empty bounding set leaves no capability after exec.
    script = """
import ctypes, os, pathlib, sys
libc = ctypes.CDLL(None)
ids = {"uid": os.getuid(), "gid": os.getgid()}
assert libc.unshare(0x10000000) == 0
pathlib.Path("/proc/self/setgroups").write_text("deny")
for kind, number in ids.items():
    pathlib.Path(f"/proc/self/{kind}_map").write_text(f"0 {number} 1")
limit, inner = sys.argv[1:]
pathlib.Path("/proc/sys/user", limit).write_text("0")
if limit == "max_user_namespaces":
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        assert libc.prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-c", inner])
"""
    inner = """
from loadgen.lab.errors import LabUnavailable
from loadgen.lab.lab import open_lab
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.lab.topology import client_server_lab
try:
    with open_lab(client_server_lab()):
        print("open")
except LabUnavailable as unavailable:
    print(unavailable.part, unavailable.cause)
"""
    argv = python(script, limit, inner)
    shown = subprocess.run(
        argv, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S, cwd=ROOT
    ).stdout
    assert shown.startswith("namespaces no network namespace can be made: the limit")
    assert f"user.{limit} = 0" in shown


@pytest.mark.parametrize(
    ("number", "files", "cause"),
    [
        (errno.ENOSPC, {"sys/user/max_user_namespaces": "0\n"}, "user.max_user_namespaces = 0"),
        (errno.EPERM, {"sys/kernel/unprivileged_userns_clone": "0\n"}, "unprivileged_userns_clone = 0"),
        (errno.EPERM, {"sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, "AppArmor"),
        (errno.EPERM, {"self/status": "Name:\tx\nSeccomp:\t2\n"}, "seccomp"),
        (errno.EPERM, {"self/status": "Name:\tx\nSeccomp:\t0\n"}, "this user"),
        (errno.EPERM, {}, "this user"),
        (errno.EUSERS, {}, "nested too deep"),
        (errno.EINVAL, {}, "built without"),
        (errno.ENOMEM, {}, "memory"),
    ],
)
def test_the_cause_of_a_refusal_is_named(
    number: int, files: dict[str, str], cause: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    unavailable = namespaces.why_refused(OSError(number, os.strerror(number)), tmp_path)
    assert unavailable.part is Part.NAMESPACES
    assert cause in unavailable.cause
    assert unavailable.remedy


def test_a_build_that_crashes_is_a_bug_with_its_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/ls")
    with pytest.raises(RuntimeError, match="ls: "), open_lab(client_server_lab()):
        pass


def test_a_spec_survives_json() -> None:
    asked = {Side.SERVER: {"net.core.somaxconn": "5"}}
    spec = client_server_lab(
        Topology.LOOPBACK,
        Family.IPV6,
        ports=(1, 2),
        client_addresses=3,
        server_addresses=4,
        sysctls=asked,
        backlog=6,
    )
    assert decode(encode(spec), LabSpec) == spec


def test_an_end_on_a_node_that_does_not_exist_is_refused() -> None:
    ends = End("client", ("198.18.0.1/15",)), End("middle", ("198.18.0.2/15",))
    with pytest.raises(ValueError, match="no such node: middle"):
        LabSpec((Node("client"),), (Link(ends),), {"client": Placement("client", ("198.18.0.1",))})


def routed_lab() -> LabSpec:
    """A client and a server in networks of their own, and a middle that forwards between them."""
    client = End("client", ("198.18.0.1/24",), routes={"198.19.0.0/24": "198.18.0.254"})
    server = End("server", ("198.19.0.1/24",), routes={"198.18.0.0/24": "198.19.0.254"})
    near = End("middle", ("198.18.0.254/24",))
    far = End("middle", ("198.19.0.254/24",), interface="lab1")
    return LabSpec(
        nodes=(
            Node("client", ports=(20_000, 20_099)),
            Node("middle", sysctls={"net.ipv4.ip_forward": "1"}),
            Node("server"),
        ),
        links=(Link((client, near)), Link((far, server))),
        sides={
            "client": Placement("client", ("198.18.0.1",)),
            "middle": Placement("middle", ("198.18.0.254",)),
            "server": Placement("server", ("198.19.0.1",)),
        },
    )


def test_a_middle_node_forwards_between_two_links() -> None:
    async def main() -> None:
        with open_lab(routed_lab()) as lab:
            assert await converse(lab, Side.CLIENT) == ["198.18.0.1"]
            forwarded = await output(lab, "middle", ["cat", "/proc/net/snmp"])
            names, values = (line.split() for line in forwarded.splitlines() if line.startswith("Ip:"))
            assert int(values[names.index("ForwDatagrams")]) >= 6  # handshake and close

    run(main())


def test_addresses_that_cannot_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="client: 0 addresses"):
        client_server_lab(client_addresses=0)
    with pytest.raises(ValueError, match="server: 251 addresses"):
        client_server_lab(server_addresses=MOST_ADDRESSES + 1)
    with pytest.raises(ValueError, match="has one, ::1"):
        client_server_lab(Topology.HOST, Family.IPV6, client_addresses=2)


def test_ctrl_c_reaches_no_process_that_has_just_been_begun() -> None:
    argv = [sys.executable, "-m", "tests.lab.interrupted"]
    done = subprocess.run(
        argv,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=LIMIT_S,
        cwd=ROOT,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr


def test_all_of_this_as_an_ordinary_user() -> None:
    file = "tests/lab/test_lab.py"
    options = ["-p", "no:cacheprovider", "--deselect", f"{file}::{THIS}", file]
    argv = as_ordinary_user([sys.executable, "-m", "pytest", *options])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        said = b""
        # A dot comes when a test is done. The limit is each one's: all together take as long as the machine
        # is busy.
        while select.select([process.stdout], [], [], 2 * LIMIT_S)[0]:
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            said += chunk
        else:
            process.kill()
    assert process.returncode == 0, said.decode()


THIS = test_all_of_this_as_an_ordinary_user.__name__
