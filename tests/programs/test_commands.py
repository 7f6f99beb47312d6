"""Commands as server and as driver: what is filled in, how they begin and end, and what is known of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loadgen.kernel.process import CpuClock, descendants
from loadgen.ledger.entry import FINS
from loadgen.programs.messages import KeeperMessage
from loadgen.programs.output import CUT, MOST_BYTES, Output
from loadgen.programs.plan import Plan, find_program
from loadgen.records.events import CommandEnded
from loadgen.scenario import placeholders
from loadgen.wire.codec import decode, encode
from loadgen.wire.messages import Begin, Stop
from tests.command import Running, churn, document, eventually, lines, processes_with
from tests.lab.sysctls import NO_ASSASSINATION
from tests.peers import need
from tests.runs.test_runs import caveats, exact, run, shared_path, write

__all__ = ["shared_path"]

TENTH_NS = 100_000_000

CLIENT = """
import socket
for _ in range(20):
    with socket.create_connection(("{host}", {port})) as sock:
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
"""
"""Twenty connections, each closed by the client."""

PATIENT = CLIENT + "        while sock.recv(65536): pass\n"
"""Who waits for the server's close: else both may close at once, and both be left with TIME-WAIT."""

BUSY = """
import time
while time.process_time() < 0.1: pass
time.sleep(0.3)
"""
"""For CPU time is counted in ticks, and known of what lives while a sample is taken."""

SERVER = """
import socket
listener = socket.create_server(("{host}", {port}), backlog=64)
while True:
    sock, _ = listener.accept()
    with sock:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
"""
"""One connection at a time, each closed by the server."""


SERVER_OF_THREE = """
import socket
listener = socket.create_server(("{host}", {port}))
for _ in range(3):
    sock, _ = listener.accept()
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    sock.close()
"""


def scripted(part: str, script: str, **more: Any) -> dict[str, Any]:
    """The settings of a server or load that is this Python script."""
    kind = {"server": "kind", "load": "driver"}[part]
    command = {"command": ["{python}", "{dir}/it.py"], "files": {"it.py": script}}
    return {part: {kind: "command", **command, **more}}


def scenario(**parts: Any) -> str:
    """A scenario file: JSON is YAML."""
    return json.dumps({"title": "commands", "connection": {"closer": "client"}, **parts})


def found_in(variant: dict[str, Any]) -> set[str]:
    """Its caveats, but for one about the machine: of so few samples a single late one is too many."""
    return caveats(variant) - {"sampler_late"}


def of_main(summary: dict[str, Any]) -> dict[str, Any]:
    return summary["variants"]["main"]


# ---- what is filled in


def test_known_names_are_filled_in_and_other_braces_are_left() -> None:
    values = {"port": "80", "dir": "/d"}
    text = "listen {port}; root {dir}/{port}; if ($x) { return 200; } %{port} ${dir} {host} {{port}} {}"
    filled = "listen 80; root /d/80; if ($x) { return 200; } %{port} ${dir} {host} {80} {}"
    assert placeholders.fill(text, values) == filled


def test_a_name_that_looks_like_a_placeholder_and_is_none_is_told_with_its_like() -> None:
    assert list(placeholders.unknown("{url} { return } %{http_code} ${HOME} {A}")) == []
    ((name, hint),) = placeholders.unknown("http://{hots}/")
    assert (name, hint) == ("hots", 'did you mean "{host}"?')


def test_a_plan_survives_its_way_to_the_keeper() -> None:
    plan = Plan(("a", "b c"), "/d", {"x": "y\n"}, 80, 5)
    assert decode(encode(plan), Plan) == plan
    assert b"\n" not in encode(plan)


def test_servers_are_found_where_the_path_of_an_ordinary_user_does_not_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need("nginx")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert find_program("nginx")
    assert find_program("sh")
    assert find_program("no-such-program") is None


def test_output_is_kept_up_to_a_bound_and_its_last_words_always(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    output = Output(tmp_path / "out", reading)
    chunk = b"x" * 50_000
    for _ in range(MOST_BYTES // len(chunk) + 2):
        os.write(writing, chunk)
        assert output.pump()
    os.write(writing, b"\nthe end\n")
    assert output.pump()
    os.close(writing)
    assert not output.pump()
    assert output.last_words().endswith("x\nthe end")
    assert (tmp_path / "out").stat().st_size == MOST_BYTES + len(CUT)


# ---- CPU time of a tree


def test_the_time_of_descendants_counts_while_they_live_and_when_they_are_gone() -> None:
    script = """
import os, sys
if os.fork() == 0:
    while sum(os.times()[:2]) < 0.1: pass
    sys.stdin.readline()
    os._exit(0)
os.wait()
print(flush=True)
sys.stdin.readline()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen([sys.executable, "-c", script], text=True, bufsize=1, **pipes) as parent,
        CpuClock(parent.pid) as clock,
    ):
        assert parent.stdin is not None
        assert parent.stdout is not None
        first = clock.read()

        def worked() -> bool:
            now = clock.read()
            return now.user_ns + now.system_ns >= TENTH_NS

        eventually(worked, "the child's time is not counted")
        living = clock.read()
        assert len(list(descendants(parent.pid))) == 1
        parent.stdin.write("\n")
        parent.stdout.readline()
        assert list(descendants(parent.pid)) == []
        gone = clock.read()
        assert gone.user_ns >= living.user_ns >= first.user_ns
        assert gone.user_ns + gone.system_ns >= TENTH_NS
        parent.stdin.write("\n")


# ---- a driver


def test_a_command_drives_and_the_kernel_counts(tmp_path: Path) -> None:
    lab = {"sysctl": {"client": NO_ASSASSINATION}}
    done, summary = run(tmp_path, scenario(lab=lab, **scripted("load", CLIENT + BUSY)))
    assert done.code == 0, done.said
    variant = of_main(summary)
    metrics = variant["metrics"]
    assert metrics["opened"] == metrics["connected"] == metrics["closes.client_fin"] == 20
    assert metrics["client.time_wait.max"] == 20
    assert metrics["client.cpu_ns"] > 0
    # What nobody counted is absent, and not zero.
    for name in ("attempts", "exchanges", "errors.total", "rate.requests", "connect.p50_ns"):
        assert name not in metrics
    assert [(line["ours"], line["theirs"]) for line in variant["audit"]] == [(20, 20), (20, 20)]
    assert [row["name"] for row in variant["compared"]] == ["TIME-WAIT, server"]
    assert variant["verdict"].endswith("; the client collects up to 20 TIME-WAITs, the server none")
    assert found_in(variant) == set()
    (path,) = (tmp_path / "runs").glob("*/main")
    counted = {name for interval in lines(path / "intervals.jsonl") for name in interval}
    assert counted == {*("type", "start_ns", "end_ns"), *("opened", "connected", "in_flight")}
    assert {file.name for file in path.iterdir()} >= {"driver", "driver.out", "driver.err"}
    assert "{host}" not in (path / "driver" / "it.py").read_text()


def test_the_verdict_names_who_did_close(tmp_path: Path) -> None:
    text = scenario(**scripted("load", CLIENT), connection={"closer": "server", "requests": 100})
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    assert of_main(summary)["verdict"].endswith(
        " s; the client collects up to 20 TIME-WAITs, the server none"
    )
    assert found_in(of_main(summary)) == {"closer_differs"}


def of_two_commands(tmp_path: Path, client: str, topology: str) -> dict[str, Any]:
    """What a run says of a script that serves and one that drives."""
    text = scenario(
        **scripted("server", SERVER),
        **scripted("load", client),
        lab={"topology": topology},
        connection={"closer": "server"},
    )
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    return of_main(summary)


@pytest.mark.parametrize("topology", ["pair", "loopback"])
def test_both_sides_may_be_commands(topology: str, tmp_path: Path) -> None:
    variant = of_two_commands(tmp_path, PATIENT, topology)
    assert variant["metrics"]["connected"] == 20
    assert ("closes.server_fin" in variant["metrics"]) is (topology == "pair")
    assert all(line["exact"] for line in variant["audit"])
    assert len(variant["audit"]) == 2


@pytest.mark.parametrize("topology", ["pair", "loopback"])
def test_sides_that_close_at_once_do_not_spoil_the_audit(topology: str, tmp_path: Path) -> None:
    variant = of_two_commands(tmp_path, CLIENT.replace("range(20)", "range(1000)"), topology)
    assert variant["metrics"]["connected"] == 1000
    assert all(line["exact"] for line in variant["audit"])
    assert len(variant["audit"]) == 2
    # Whether any two FINs crossed is chance. If they did, both ends of a connection enter TIME-WAIT.
    namespaces = ("client", "server") if topology == "pair" else ("client",)
    entered = sum(variant["metrics"][f"{name}.kernel.{fin}"] for name in namespaces for fin in FINS)
    assert (entered > 1000) is ("closed_by_both" in caveats(variant))


def test_an_ordinary_user_gets_the_same(shared_path: Path) -> None:
    text = scenario(
        **scripted("server", SERVER), **scripted("load", PATIENT), connection={"closer": "server"}
    )
    done, summary = run(shared_path, text, ordinary=True)
    assert done.code == 0, done.said
    assert of_main(summary)["metrics"]["closes.server_fin"] == 20


def test_a_command_that_fails_invalidates_with_its_last_words(tmp_path: Path) -> None:
    script = "import socket\nsocket.create_connection(('{host}', 1))"
    done, summary = run(tmp_path, scenario(**scripted("load", script)))
    assert done.code == 106, done.said
    variant = of_main(summary)
    (caveat,) = (one for one in variant["caveats"] if one["invalidates"])
    assert caveat["kind"] == "command_failed"
    assert "with exit status 1: ConnectionRefusedError" in caveat["cause"]
    assert (variant["metrics"]["opened"], variant["metrics"]["connected"]) == (1, 0)
    refused = "1 of 1 attempts fail: the server's host refused it: nothing listened on the port"
    assert variant["verdict"] == f"No connection was established: {refused}"


def test_a_command_that_loads_nothing_invalidates(tmp_path: Path) -> None:
    done, summary = run(tmp_path, scenario(**scripted("load", "pass")))
    assert done.code == 106, done.said
    assert found_in(of_main(summary)) == {"command_failed"}
    assert of_main(summary)["verdict"] == "No connection was tried"


def test_a_command_that_a_signal_ends_invalidates(tmp_path: Path) -> None:
    done, _ = run(tmp_path, scenario(**scripted("load", "import os; os.kill(os.getpid(), 11)")))
    assert done.code == 106, done.said
    assert "by SIGSEGV" in done.stdout


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    endless = CLIENT + "\nimport time\ntime.sleep(100)"
    text = scenario(load={**scripted("load", endless)["load"], "duration": "100ms"})
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    assert found_in(of_main(summary)) == {"command_stopped"}
    assert of_main(summary)["metrics"]["connected"] == 20


def test_a_command_that_is_to_end_as_soon_as_it_begins_does(tmp_path: Path) -> None:
    plan = Plan((sys.executable, "-c", "import time; time.sleep(100)"), str(tmp_path / "c"), {}, None, 10**11)
    told = b"".join(encode(line) + b"\n" for line in (plan, Begin(0), Stop()))
    as_root = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    keeper = [*as_root, sys.executable, "-m", "loadgen.programs"]
    done = subprocess.run(keeper, input=told, capture_output=True, check=True, timeout=30)
    messages: list[KeeperMessage] = [decode(line, KeeperMessage) for line in done.stdout.splitlines()]
    (ended,) = (message for message in messages if isinstance(message, CommandEnded))
    # By SIGTERM, and not by the SIGKILL that follows where nobody hears it.
    assert (ended.code, ended.asked) == (-signal.SIGTERM, True)


def test_a_server_that_has_ended_by_itself_is_not_taken_for_one_that_was_asked(tmp_path: Path) -> None:
    plan = Plan(("sh", "-c", "touch begun; sleep 0.1; exit 3"), str(tmp_path / "s"), {}, 1, 10**11)
    as_root = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    with subprocess.Popen(
        [*as_root, sys.executable, "-m", "loadgen.programs"], stdin=subprocess.PIPE
    ) as keeper:
        assert keeper.stdin is not None
        keeper.stdin.write(encode(plan) + b"\n")
        keeper.stdin.flush()
        eventually((tmp_path / "s" / "begun").exists, "the command did not begin")
        while keeper.poll() is None:
            keeper.terminate()
            time.sleep(0.001)
    assert keeper.returncode == 3


# Two processes that nobody waits for, in sessions of their own, deaf to SIGTERM; then the load goes on.
FORKING = """
import os, signal, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(100)
        time.sleep(100)
print("forked", flush=True)
time.sleep(100)
"""


def forking(tmp_path: Path) -> Running:
    text = scenario(load={**scripted("load", FORKING)["load"], "duration": "30s"})
    running = Running(
        "run", write(tmp_path, text), "--json", "--no-figures", runs=tmp_path / "runs", start_new_session=True
    )
    with_output = running.directory() / "main" / "driver.out"
    eventually(lambda: with_output.exists() and with_output.read_text(), "the command did not begin")
    return running


def test_ctrl_c_ends_a_command_and_all_that_it_started_in_order(tmp_path: Path) -> None:
    with forking(tmp_path) as running:
        # churn, the server, sampler, keeper, first process, command, and its four
        eventually(lambda: len(processes_with(running.mark)) == 10, "not all of them began")
        os.killpg(running.process.pid, signal.SIGINT)
        done = running.finish()
    assert done.code == 105, done.said
    assert found_in(of_main(document(done.stdout))) == {"interrupted"}


def test_after_sigkill_of_churn_nothing_of_a_command_is_left(tmp_path: Path) -> None:
    with forking(tmp_path) as running:
        running.process.kill()
        running.finish()  # sees that no process with the mark is left


# ---- a server


def test_a_command_serves_as_soon_as_it_listens_and_no_probe_is_counted(tmp_path: Path) -> None:
    late = "import time\ntime.sleep(0.3)\n" + SERVER
    text = scenario(
        **scripted("server", late),
        load={"closed_loop": {"connections": 2}, "duration": "300ms"},
        connection={"closer": "server"},
    )
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    variant = of_main(summary)
    assert exact(variant), variant["audit"]
    assert variant["metrics"]["errors.total"] == 0
    assert variant["metrics"]["closes.server_fin"] == variant["metrics"]["connected"] > 0
    assert variant["metrics"]["server.cpu_ns"] > 0


NOT_READY = {
    "silent": ("import time; time.sleep(100)", "nothing listens on port 8080 after 0.3 s", "without a word"),
    "ends": ("raise SystemExit('no licence')", "ended before it listened", "no licence"),
    "elsewhere": ("import socket, time; s = socket.create_server(('{host}', 81)); time.sleep(100)", "", ""),
}


@pytest.mark.parametrize("name", NOT_READY)
def test_a_server_that_is_not_ready_is_told_with_its_last_words(name: str, tmp_path: Path) -> None:
    script, *told = NOT_READY[name]
    ready = "10s" if name == "ends" else "300ms"
    text = scenario(**scripted("server", script, ready=ready))
    done, summary = run(tmp_path, text)
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr
    (caveat,) = of_main(summary)["caveats"]
    assert caveat["kind"] == "process_died"
    assert of_main(summary)["verdict"] == "Nothing was measured"
    for words in told:
        assert words in caveat["cause"]
        assert words in done.stderr


def test_a_variant_that_cannot_start_leaves_the_others_alone(tmp_path: Path) -> None:
    dies = scripted("server", "raise SystemExit('no licence')")
    text = scenario(load={"duration": "200ms"}, variants={"before": {}, "dies": dies, "after": {}})
    runs = tmp_path / "runs"
    done = churn("run", write(tmp_path, text), runs=runs)
    assert done.code == 106, done.said
    assert "the measurement is invalid in dies." in done.stdout
    assert "no licence" in done.stdout
    (path,) = runs.iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "finished"
    written = (path / "summary.json").read_text()
    summary = document(written)
    assert {name: variant["valid"] for name, variant in summary["variants"].items()} == {
        "before": True,
        "dies": False,
        "after": True,
    }
    assert summary["valid"] is False
    # Read again it is the same, and what there is can be drawn.
    drawn = {figure.stem for figure in (path / "figures").iterdir()}
    assert {"variants", "timeline-before", "timeline-after"} <= drawn
    again = churn("plot", "last", runs=runs)
    assert again.code == 0, again.said
    assert (path / "summary.json").read_text() == written


def test_a_server_that_ends_under_load_is_told_of(tmp_path: Path) -> None:
    script = SERVER.replace("while True", "for _ in range(3)") + "\nraise SystemExit('had enough')"
    done, summary = run(
        tmp_path,
        scenario(**scripted("server", script), load={"duration": "1s"}, connection={"closer": "server"}),
    )
    assert done.code == 106, done.said
    (caveat,) = (one for one in of_main(summary)["caveats"] if one["kind"] == "process_died")
    assert "the server ended before the load did, with exit status 1" in caveat["cause"]
    (path,) = (tmp_path / "runs").glob("*/main")
    assert "had enough" in (path / "server.err").read_text()
    assert any("had enough" in event.get("stderr", "") for event in lines(path / "events.jsonl"))


def test_on_the_host_an_ordinary_user_is_told_before_anything_is_begun(shared_path: Path) -> None:
    text = scenario(**scripted("server", SERVER), **scripted("load", PATIENT), lab={"topology": "host"})
    done = churn("run", write(shared_path, text), runs=shared_path / "runs", ordinary=True)
    assert done.code == 106, done.said
    assert "no PID namespace on the host for server.command of main, load.command of main" in done.stderr
    assert "run churn as root" in done.stderr
    assert not (shared_path / "runs").exists()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = scripted("server", SERVER, port=taken.getsockname()[1])
        text = scenario(**server, lab={"topology": "host"})
        done = churn("run", write(tmp_path, text), runs=tmp_path / "runs")
    assert done.code == 106, done.said
    # An ordinary user outside of a lab may make no PID namespace.
    words = "something else listens" if os.geteuid() == 0 else "no PID namespace on the host"
    assert words in done.stderr


def test_a_program_that_is_missing_is_told_before_anything_is_begun(tmp_path: Path) -> None:
    text = scenario(
        server={"kind": "command", "command": ["no-such-server"]},
        variants={"a": {}, "b": {"load": {"driver": "command", "command": ["/no/such/load"]}}},
    )
    done = churn("run", write(tmp_path, text), runs=tmp_path / "runs")
    assert done.code == 106, done.said
    assert "no-such-server is not installed" in done.stderr
    assert "server.command of a, server.command of b" in done.stderr
    assert "/no/such/load is not installed, or cannot be executed: load.command of b" in done.stderr
    assert "make peers" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("status", "code"), [(7, 0), (0, 106)])
def test_an_exit_status_is_data_where_it_is_expected(status: int, code: int, tmp_path: Path) -> None:
    load = scripted("load", CLIENT + "raise SystemExit(7)\n", expect_status=status)
    text = scenario(**load, expect={"all": ["client.exit_status == 7"]})
    done, summary = run(tmp_path, text)
    assert done.code == code, done.said
    assert summary["passed"] is True
    assert ("command_failed" in caveats(of_main(summary))) is bool(code)


@pytest.mark.parametrize(("expected", "code"), [(7, 0), (3, 106), (None, 106)])
def test_a_servers_exit_status_is_data_where_it_is_expected(
    expected: int | None, code: int, tmp_path: Path
) -> None:
    ends = SERVER_OF_THREE + "raise SystemExit(7)\n"
    more = {} if expected is None else {"expect_status": expected}
    text = scenario(
        **scripted("server", ends, **more),
        load={"driver": "protocol", "duration": "500ms", "closed_loop": {"connections": 1}},
        expect={"all": ["server.exit_status == 7"]},
    )
    done, summary = run(tmp_path, text.replace('"client"', '"server"'))
    assert done.code == code, done.said
    assert summary["passed"] is True
    assert ("process_died" in caveats(of_main(summary))) is bool(code)


def test_an_exit_status_is_a_commands_and_has_bounds(tmp_path: Path) -> None:
    for load, why in (("{expect_status: 1}", "is for commands"), ("{expect_status: 256}", "from -64 to 255")):
        done = churn("check", write(tmp_path, f"title: status\nload: {load}\n"))
        assert done.code == 104, done.said
        assert "x.yaml:2:" in done.stderr
        assert why in done.stderr
        done = churn("check", write(tmp_path, f"title: status\nserver: {load}\n"))
        assert why in done.stderr


# ---- programs as people use them


def test_redis_serves_with_nothing_but_readiness(tmp_path: Path) -> None:
    need("redis-server")
    script = """
import socket
for _ in range(20):
    with socket.create_connection(("{host}", {port})) as sock:
        sock.sendall(b"PING\\r\\n")
        assert sock.recv(64) == b"+PONG\\r\\n"
"""
    redis = ["redis-server", "--bind", "{host}", "--port", "{port}", "--save", "", "--protected-mode", "no"]
    text = scenario(server={"kind": "command", "command": redis, "port": 6379}, **scripted("load", script))
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    assert of_main(summary)["metrics"]["closes.client_fin"] == 20


@pytest.mark.parametrize("name", ["nginx", "clients", "databases", "programs", "tls", "unread"])
def test_the_gallerys_commands_do_as_it_says(name: str, shared_path: Path) -> None:
    needed = {
        "nginx": ("nginx",),
        "clients": ("curl", "ab", "wrk", "h2load", "nginx"),
        "databases": ("redis-server", "redis-benchmark", "pgbench"),
        "tls": ("nginx", "openssl"),
    }
    need(*needed.get(name, ()))
    path = Path(__file__).parents[2] / "scenarios" / f"{name}.yaml"
    # Long enough for the clients that end by themselves.
    short = ("--set", f"load.duration={ {'nginx': '500ms', 'clients': '3s'}.get(name, '20s') }")
    done = churn(
        "run", path, "--quick", *short, "--json", "--no-figures", runs=shared_path / "r", ordinary=True
    )
    assert done.code == 0, done.said
    summary = document(done.stdout)
    assert summary["passed"] is True
    assert {claim["claim"]: claim["verdict"] for claim in summary["claims"]} == {
        "nginx": dict.fromkeys(("C2", "C4", "C5"), "confirmed"),
        "clients": dict.fromkeys(("C2", "C3", "C4", "C34"), "confirmed"),
        "databases": {"C28": "confirmed"},
        "programs": {
            **dict.fromkeys(("C7", "C14", "C15"), "confirmed"),
            **dict.fromkeys(("C17", "C46"), "refuted"),
            **dict.fromkeys(("C12", "C59"), "depends"),
        },
        "tls": {"C56": "refuted"},
        "unread": {"C13": "depends", "C16": "confirmed", "C51": "depends"},
    }[name]
    for variant in summary["variants"].values():
        assert all(line["exact"] for line in variant["audit"])
        assert caveats(variant) <= {
            "generator_saturated",
            "server_saturated",
            "sampler_late",
            "ended_by_reset",  # wrk, when its time is over; bytes that are left unread
            *(("endings_ambiguous", "closer_differs") if name == "databases" else ()),  # one kernel; pgbench
        }
