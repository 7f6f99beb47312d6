"""Reading a scenario: what it becomes, how its layers merge, and what each mistake is answered with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from loadgen.scenario.choices import Arrivals, Driver, Family, Http, ServerKind, Topology
from loadgen.scenario.document import Scenario
from loadgen.scenario.read import load_scenario
from loadgen.scenario.schema import json_schema, resolved, restore
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Ending
from loadgen.text.problem import ScenarioError
from loadgen.text.units import ByteSize, Duration, PortRange
from loadgen.text.visible import visible
from loadgen.text.yaml import MAX_BYTES
from tests.attack.scenarios import attack

GALLERY = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
HTTP10 = next(path for path in GALLERY if path.name == "http10.yaml")
METRICS = frozenset(f"{side}.time_wait.max" for side in ("client", "server")) | {"client.ports", "rate.mean"}

Read = Callable[..., Scenario]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a text as a scenario file, with METRICS known."""

    def read(text: str | bytes, **options: Any) -> Scenario:
        path = tmp_path / "x.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_scenario(path, metrics=METRICS, **options)

    return read


def problems(read: Read, text: str | bytes, **options: Any) -> list[str]:
    """The problems of a text, one line each, the file's folder left out."""
    with pytest.raises(ScenarioError) as caught:
        read(text, **options)
    return [str(problem).rpartition("/x.yaml:")[2] for problem in caught.value.problems]


# What it becomes


def test_a_title_is_enough(read: Read) -> None:
    scenario = read("title: t")
    (variant,) = scenario.variants
    assert (scenario.title, scenario.question, scenario.claims, variant.name) == ("t", "", (), "main")
    assert (variant.lab.topology, variant.lab.family) == (Topology.PAIR, Family.IPV4)
    assert variant.lab.client.ports == PortRange(32768, 60999)
    assert (variant.lab.client.addresses, variant.lab.server.addresses) == (1, 1)
    assert (variant.server.kind, variant.server.port, variant.server.workers) == (
        ServerKind.PROTOCOL,
        8080,
        1,
    )
    assert (variant.server.response, variant.server.idle_timeout) == (128, 60_000_000_000)
    assert (variant.connection.http, variant.connection.requests) == (Http.V1_1, 1)
    assert variant.connection.ending is Ending.SERVER_FIN
    assert (variant.load.driver, variant.load.duration) == (Driver.AUTO, 10_000_000_000)
    assert variant.load.closed_loop is not None
    assert variant.load.closed_loop.connections == 64
    assert variant.load.timeouts.connect == 5_000_000_000
    assert variant.sample.every == 100_000_000
    assert variant.expect == ()


def test_every_key_is_read(read: Read) -> None:
    (variant,) = read("""
title: t
lab:
  topology: loopback
  family: ipv6
  client: {ports: 2000-3000, addresses: 2, bind: early, local_port_range: 2100-2999}
  server: {addresses: 3}
  sysctl: {client: {net.ipv4.tcp_tw_reuse: 1}, server: {net.ipv4.tcp_max_tw_buckets: 0}}
server:
  {kind: aiohttp, port: 9000, ports: 1, workers: 2, pin: true, backlog: 10, reuse_address: false,
  response: 10kB, delay: 1ms, idle_timeout: 5s}
load:
  driver: aiohttp
  workers: 3
  pin: false
  open_loop: {rate: 1.5k/s, arrivals: poisson, connections: 500, late: 1ms}
  duration: 1.5s
  timeouts: {connect: 1s, send: 2s, response: 3s, close: 4s}
  seed: 7
connection: {protocol: http, http: 1.0, requests: 1e3, closer: client, close: rst, think: 0}
sample: {every: 50ms}
capture: {connections: 3}
script:
  - {at: 1s, for: 500ms, do: sysctl, on: client, sysctl: {net.ipv4.tcp_fin_timeout: 1}}
  - {at: 500ms, do: kill, on: server, signal: INT}
""").variants
    assert resolved(Scenario(title="t", variants=(variant,)))["variants"] == [
        {
            "lab": {
                "topology": "loopback",
                "family": "ipv6",
                "client": {
                    "ports": "2000-3000",
                    "addresses": 2,
                    "bind": "early",
                    "local_port_range": "2100-2999",
                },
                "server": {"addresses": 3},
                "proxy": {"ports": "32768-60999", "addresses": 1},
                "nat": {"ports": "1024-65535"},
                "sysctl": {
                    "client": {"net.ipv4.tcp_tw_reuse": "1"},
                    "server": {"net.ipv4.tcp_max_tw_buckets": "0"},
                    "proxy": {},
                    "nat": {},
                },
            },
            "server": {
                "kind": "aiohttp",
                "port": 9000,
                "ports": 1,
                "workers": 2,
                "pin": True,
                "backlog": 10,
                "reuse_address": False,
                "response": "10000B",
                "delay": "1ms",
                "idle_timeout": "5s",
                "files": {},
                "ready": "5s",
            },
            "load": {
                "driver": "aiohttp",
                "workers": 3,
                "pin": False,
                "open_loop": {"rate": "1500/s", "arrivals": "poisson", "connections": 500, "late": "1ms"},
                "stages": [],
                "duration": "1500ms",
                "timeouts": {"connect": "1s", "send": "2s", "response": "3s", "close": "4s"},
                "seed": 7,
                "files": {},
                "expect_status": 0,
            },
            "connection": {
                "protocol": "http",
                "request": "64B",
                "http": "1.0",
                "requests": 1000,
                "closer": "client",
                "close": "rst",
                "think": "0s",
                "read": "all",
                "look": True,
                "retry": 0,
            },
            "sample": {"every": "50ms"},
            "capture": {"connections": 3},
            "script": [
                {
                    "at": "1s",
                    "for": "500ms",
                    "do": "sysctl",
                    "on": "client",
                    "sysctl": {"net.ipv4.tcp_fin_timeout": "1"},
                },
                {"at": "500ms", "do": "kill", "on": "server", "signal": "INT", "sysctl": {}},
            ],
            "name": "main",
            "expect": [],
        }
    ]
    assert isinstance(variant.server.response, ByteSize)
    assert isinstance(variant.load.duration, Duration)
    assert isinstance(variant.load.loop, OpenLoop)
    assert variant.load.loop.arrivals is Arrivals.POISSON


def test_a_scenario_cannot_be_changed(read: Read) -> None:
    (variant,) = read("title: t").variants
    with pytest.raises(ValidationError):
        variant.load.duration = Duration(1)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_the_gallery_reads_and_survives_a_run_directory(path: Path, quick: bool) -> None:
    scenario = load_scenario(path, quick=quick)
    assert restore(json.loads(json.dumps(resolved(scenario)))) == scenario
    assert scenario.question
    assert scenario.claims


def test_http10_asks_its_question_of_four_variants() -> None:
    scenario = load_scenario(HTTP10)
    assert [(v.name, v.connection.closer, v.connection.requests) for v in scenario.variants] == [
        ("short-server-closes", "server", 1),
        ("short-client-closes", "client", 1),
        ("kept-server-closes", "server", 100),
        ("kept-client-closes", "client", 100),
    ]
    assert all(variant.expect for variant in scenario.variants)
    assert scenario.variants[1].expect[2].text == "errors.EADDRNOTAVAIL > 0"


# YAML 1.1 traps: the field decides, not the letters


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", "true"),
        ("null", "null"),
        ("~", "~"),
        ("1.0", "1.0"),
        ("010", "010"),
        ("1e3", "1e3"),
        ("12:30:00", "12:30:00"),
        ("2026-11-20", "2026-11-20"),
        ("0x1F", "0x1F"),
        ("'no'", "no"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("=", "="),
        ("|\n  two\n  lines\n", "two\n  lines".replace("  ", "")),
        (">\n  one\n  line\n", "one line"),
    ],
)
def test_a_title_is_the_text_that_was_written(read: Read, written: str, title: str) -> None:
    assert read(f"title: {written}").title == title


@pytest.mark.parametrize(
    ("written", "requests"), [("1e3", 1000), ("100", 100), ('"100"', 100), ("1.5e2", 150), ("1E+3", 1000)]
)
def test_a_number_is_read_by_its_field(read: Read, written: str, requests: int) -> None:
    (variant,) = read(f"title: t\nconnection: {{requests: {written}}}").variants
    assert variant.connection.requests == requests


@pytest.mark.parametrize("written", ["1.0", '"1.0"', "'1.0'"])
def test_an_http_version_needs_no_quotes(read: Read, written: str) -> None:
    assert read(f"title: t\nconnection: {{http: {written}}}").variants[0].connection.http is Http.V1_0


@pytest.mark.parametrize("name", ["no", "on", "1", "1.0", "010", "null", "2026-11-20"])
def test_a_variant_keeps_the_name_that_was_written(read: Read, name: str) -> None:
    assert read(f"title: t\nvariants: {{{name}: {{}}}}").variants[0].name == name


def test_anchors_and_aliases_work(read: Read) -> None:
    scenario = read("""
title: t
variants:
  a: {connection: &kept {requests: 100}}
  b: {connection: *kept}
""")
    assert [variant.connection.requests for variant in scenario.variants] == [100, 100]


# Merging


def test_a_variant_merges_over_the_top_level(read: Read) -> None:
    a, b = read("""
title: t
lab: {client: {ports: 2000-3000, addresses: 2}, sysctl: {client: {net.ipv4.tcp_tw_reuse: 1}}}
claims: [C1]
variants:
  a: {lab: {client: {addresses: 3}, sysctl: {client: {net.ipv4.tcp_timestamps: 0}}}}
  b: {}
""").variants
    assert (a.lab.client.ports, a.lab.client.addresses) == (PortRange(2000, 3000), 3)
    assert a.lab.sysctl.client == {"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "0"}
    assert (b.lab.client.addresses, b.lab.sysctl.client) == (2, {"net.ipv4.tcp_tw_reuse": "1"})


def test_naming_a_loop_drops_the_inherited_other(read: Read) -> None:
    a, b, c = read("""
title: t
load: {open_loop: {rate: 10/s, arrivals: poisson}}
variants:
  a: {load: {closed_loop: {connections: 3}}}
  b: {load: {open_loop: {rate: 20/s}}}
  c: {load: {closed_loop: {}}}
""").variants
    assert a.load.open_loop is None
    assert (a.load.closed_loop and a.load.closed_loop.connections) == 3
    assert (b.load.open_loop and (b.load.open_loop.rate, b.load.open_loop.arrivals)) == (20, "poisson")
    assert (c.load.closed_loop and c.load.closed_loop.connections) == 64


def test_a_key_that_one_layer_lacks_may_come_from_another(read: Read) -> None:
    (a,) = read("""
title: t
load: {open_loop: {arrivals: poisson}}
variants: {a: {load: {open_loop: {rate: 5/s}}}}
""").variants
    assert a.load.open_loop is not None


def test_a_matrix_makes_every_combination(read: Read) -> None:
    scenario = read("""
title: t
matrix: {lab.client.ports: [2000-2999, 2000-3999], connection.closer: [client, server]}
expect: {all: [rate.mean > 0], "ports=2000-2999,closer=client": [rate.mean > 1]}
""")
    assert [
        (v.name, v.lab.client.ports.count, v.connection.closer, len(v.expect)) for v in scenario.variants
    ] == [
        ("ports=2000-2999,closer=client", 1000, "client", 2),
        ("ports=2000-2999,closer=server", 1000, "server", 1),
        ("ports=2000-3999,closer=client", 2000, "client", 1),
        ("ports=2000-3999,closer=server", 2000, "server", 1),
    ]


def test_a_matrix_multiplies_the_variants_and_stands_over_them(read: Read) -> None:
    scenario = read("""
title: t
variants: {a: {server: {workers: 9}}, b: {server: {port: 9000}}}
matrix: {server.workers: [1, 2]}
expect: {a: [rate.mean > 0], "b,workers=2": [rate.mean > 1]}
""")
    assert [(v.name, v.server.workers, v.server.port, len(v.expect)) for v in scenario.variants] == [
        ("a,workers=1", 1, 8080, 1),
        ("a,workers=2", 2, 8080, 1),
        ("b,workers=1", 1, 9000, 0),
        ("b,workers=2", 2, 9000, 1),
    ]


def test_a_matrix_names_what_it_sets_briefly_but_apart(read: Read) -> None:
    scenario = read("""
title: t
matrix:
  lab.client.addresses: [1]
  lab.server.addresses: [2]
  load: [{open_loop: {rate: 10/s}}, {closed_loop: {connections: 1}}]
  lab.sysctl.client.net.ipv4.tcp_tw_reuse: [0]
""")
    assert [variant.name for variant in scenario.variants] == [
        f"client.addresses=1,server.addresses=2,load={place},net.ipv4.tcp_tw_reuse=0" for place in (1, 2)
    ]
    assert scenario.variants[0].lab.sysctl.client == {"net.ipv4.tcp_tw_reuse": "0"}


def test_overrides_come_last(read: Read) -> None:
    text = "title: t\nvariants: {a: {load: {duration: 1s}}, b: {}}\nquick: {load: {duration: 2s}}"
    overrides = ["load.duration=3s", "load.open_loop.rate=5/s", "load.duration=4s", "server={kind: aiohttp}"]
    for quick in (False, True):
        for variant in read(text, quick=quick, overrides=overrides).variants:
            assert variant.load.duration.seconds == 4
            assert variant.load.closed_loop is None
            assert variant.server.kind is ServerKind.AIOHTTP


def test_an_override_names_a_sysctl_by_its_dotted_name(read: Read) -> None:
    (variant,) = read("title: t", overrides=["lab.sysctl.server.net.ipv4.tcp_max_tw_buckets=0"]).variants
    assert variant.lab.sysctl.server == {"net.ipv4.tcp_max_tw_buckets": "0"}


def test_an_override_mends_the_file(read: Read) -> None:
    text = "title: t\nvariants: {a: {load: {duration: x}}}"
    assert read(text, overrides=["load.duration=1s"]).variants[0].load.duration.seconds == 1


def test_quick_is_what_the_file_says(read: Read) -> None:
    text = "title: t\nload: {duration: 30s}\nquick: {load: {duration: 7s}}"
    (variant,) = read(text, quick=True).variants
    assert (variant.load.duration.seconds, variant.lab.client.ports.count) == (7, 28232)
    assert read(text).variants[0].load.duration.seconds == 30


@pytest.mark.parametrize(
    ("lab", "load", "ports", "seconds"),
    [
        ("{}", "{}", "32768-44767", 6),
        ("{client: {ports: 2000-30000}}", "{duration: 30s}", "2000-13999", 6),
        ("{client: {ports: 2000-3000}}", "{duration: 2s}", "2000-3000", 2),
    ],
)
def test_quick_narrows_where_the_file_says_nothing(
    read: Read, lab: str, load: str, ports: str, seconds: float
) -> None:
    (variant,) = read(f"title: t\nlab: {lab}\nload: {load}", quick=True).variants
    assert (str(variant.lab.client.ports), variant.load.duration.seconds) == (ports, seconds)


def test_variants_are_chosen_by_name(read: Read) -> None:
    text = "title: t\nvariants: {a: {}, b: {}, c: {}}"
    assert [variant.name for variant in read(text, variants=["c", "a"]).variants] == ["a", "c"]
    assert problems(read, text, variants=["d", "a"]) == [
        "--variant d: there is no such variant (there are a, b, c)"
    ]


# Mistakes, each with its line and column and a part of what is said about it

MISTAKES: dict[str, tuple[str | bytes, str, str]] = {
    # Capture
    "a capture of nothing": (
        "title: t\ncapture: {connections: 0}",
        "2:24",
        'capture.connections: expected a whole number from 1 to 100, got "0"',
    ),
    "a capture of everything": (
        "title: t\nvariants: {a: {capture: {connections: 1000000}}}",
        "2:39",
        "expected a whole number from 1 to 100",
    ),
    "a capture without a number": ("title: t\ncapture: {}", "2:10", "connections"),
    "a capture on the host": (
        "title: t\nlab: {topology: host}\ncapture: {connections: 3}",
        "3:10",
        "the host's packets are left alone (use topology pair or loopback)",
    ),
    # Commands
    "a server command without a program": (
        "title: t\nserver: {kind: command}",
        "2:16",
        'server.kind is command, and no program is named (write command: [nginx, -p, "{dir}"',
    ),
    "what no command starts": ("title: t\nload: {needs: [a]}", "2:15", "is for commands"),
    "a need with a path": (
        "title: t\nserver: {kind: command, command: [a], needs: [/bin/a]}",
        "2:47",
        "the name of a program such as openssl, or python:NAME of a module",
    ),
    "a load command without a program": (
        "title: t\nload: {driver: command, command: []}",
        "2:34",
        "load.driver is command, and no program is named",
    ),
    "a command for another server": (
        "title: t\nserver: {command: [nginx]}",
        "2:19",
        "is for commands, and server.kind is protocol (write kind: command, or remove the key)",
    ),
    "readiness of another server": ("title: t\nserver: {ready: 1s}", "2:17", "is for commands"),
    "files of another driver": (
        "title: t\nload: {driver: aiohttp, files: {a: b}}",
        "2:32",
        "is for commands, and load.driver is aiohttp",
    ),
    "an unknown placeholder": (
        'title: t\nload: {driver: command, command: [wrk, -c, "{conections}", "{url}"]}',
        "2:44",
        'load.command.2: {conections} is no placeholder (did you mean "{connections}"?)',
    ),
    "a relative program": (
        "title: t\nload: {driver: command, command: [./load.sh]}",
        "2:35",
        "./load.sh is relative, and a command starts in its own directory",
    ),
    "a command as text": (
        "title: t\nload: {driver: command, command: wrk -t1}",
        "2:34",
        'expected a list such as [a, b], got "wrk -t1"',
    ),
    "an argument that is a list": (
        "title: t\nload: {driver: command, command: [wrk, [a]]}",
        "2:40",
        "expected a text, got a list",
    ),
    "what a server command decides": (
        "title: t\nserver: {kind: command, command: [nginx], workers: 2}",
        "2:52",
        "server.workers: a command decides this by itself (remove the key",
    ),
    "what a load command decides": (
        "title: t\nload: {driver: command, command: [wrk], open_loop: {rate: 1/s}}",
        "2:52",
        "load.open_loop: a command decides this by itself",
    ),
    "thinking of a command": (
        "title: t\nload: {driver: command, command: [wrk]}\nconnection: {think: 1s}",
        "3:21",
        "connection.think: a command decides this by itself",
    ),
    "a command's many addresses": (
        "title: t\nload: {driver: command, command: [wrk]}\nlab: {client: {addresses: 2}}",
        "3:27",
        "a command as driver uses one address on each side",
    ),
    "a file in a folder": (
        "title: t\nserver: {kind: command, command: [a], files: {../x: y}}",
        "2:47",
        "expected the name of a file such as nginx.conf, without folders",
    ),
    "a file too long": (
        f"title: t\nserver: {{kind: command, command: [a], files: {{x: {'y' * 32_769}}}}}",
        "2:50",
        "expected a text of at most 32,768 characters, got 32,769",
    ),
    "a NUL in an argument": (
        'title: t\nload: {driver: command, command: [a, "\\0"]}',
        "2:38",
        "a text without the character NUL",
    ),
    # The file itself
    "empty": ("", "1:1", "the file is empty"),
    "only a comment": ("# nothing\n", "1:1", "the file is empty"),
    "a byte order mark": (b"\xef\xbb\xbftitle: t", "1:1", "byte order mark"),
    "not UTF-8": (b"title: t\nquestion: \xff", "2:11", "byte 0xff is not UTF-8"),
    "UTF-16": ("title: t".encode("utf-16"), "1:1", "is not UTF-8"),
    "a control character": ("title: t\nquestion: \x07", "2:11", "U+0007 may not stand"),
    "a huge file": (b"#" * (MAX_BYTES + 1), "1:1", "more than 65,536 bytes"),
    "a list": ("- title: t", "1:1", "a scenario is a mapping, got a list"),
    "a word": ("title", "1:1", 'a scenario is a mapping, got "title"'),
    # The syntax
    "a tab": ("title: t\nlab:\n\tfamily: ipv4", "3:1", "a tab cannot indent (use spaces)"),
    "two documents": ("title: t\n---\ntitle: u", "2:1", "a second document begins"),
    "an open bracket": ("title: t\nclaims: [C1, C2\n", "2:9", "a bracket is opened here and never closed"),
    "an open brace": ("title: t\nlab: {client: {ports: 2000-3000}\n", "2:6", "never closed"),
    "an open quote": ('title: t\nquestion: "why', "2:11", "a quote is opened here and never closed"),
    "a missing comma": (
        "title: t\nlab: {topology: pair family: ipv4}",
        "2:28",
        "a comma or a closing bracket",
    ),
    "a second colon": ("title: HTTP/1.0: who", "1:16", "a colon cannot stand here"),
    "a key without a colon": ("title: t\nquestion\n", "2:1", "a key without a colon"),
    "a crooked indentation": ("title: t\nlab:\n  family: ipv4\n topology: pair", "4:2", "fits nothing above"),
    "a list beside its key": ("title: t\nclaims: - C1", "2:9", "a list cannot begin here"),
    "a character of the language": ("title: @t", "1:8", "a value cannot begin like this"),
    "an unknown escape": (r'title: "\q"', "1:10", "an unknown escape"),
    "an escape too large": (r'title: "\UFFFFFFFF"', "1:6", "is not valid YAML"),
    "half of a surrogate pair": (r'title: "\ud800"', "1:8", "half of a surrogate pair"),
    "another YAML": ("%YAML 2.0\n---\ntitle: t", "1:1", "this version of YAML is unknown"),
    # The language
    "a key twice": (
        "title: t\nlab: {}\ntitle: u",
        "3:1",
        'the key "title" stands here twice (first written at line 1)',
    ),
    "a merge key": ("title: t\nlab: &l {}\nvariants: {a: {<<: *l}}", "3:16", "merge keys (<<) are not part"),
    "a list as a key": ("title: t\n? [a]\n: b", "2:3", "a key must be a word, got a list"),
    "no key": ("title: t\n: b", "2:1", "a key is missing before the colon"),
    "a tag": ("title: !!str t", "1:8", 'has the tag "tag:yaml.org,2002:str" (remove it'),
    "an unknown alias": (
        "title: &tile t\nquestion: *title",
        "2:11",
        '*title names nothing above it (did you mean "tile"?)',
    ),
    "a recursive alias": ("title: t\nlab: &l\n  client: *l", "3:11", "*l stands inside the value it names"),
    "an alias bomb": (
        "title: t\na: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")),
        "5:20",
        "grows beyond 5,000 values",
    ),
    "a deep nest": ("title: " + "[" * 200 + "]" * 200, "1:39", "nested more than 32 deep"),
    # Keys
    "no title": ("question: why", "1:1", "title: is required (add title:"),
    "an unknown key": ("title: t\nconection: {}", "2:1", 'unknown key (did you mean "connection"?)'),
    "a key that stands deeper": (
        "title: t\nduration: 5s",
        "2:1",
        'unknown key (did you mean "load.duration"?)',
    ),
    "a key like nothing": (
        "title: t\nlab: {xyzzy: 1}",
        "2:7",
        "known here: topology, family, client, server, proxy, nat, sysctl",
    ),
    "an unknown deep key": (
        "title: t\nload: {closed_loop: {conections: 8}}",
        "2:22",
        'load.closed_loop.conections: unknown key (did you mean "connections"?)',
    ),
    "an unknown key of a variant": ("title: t\nvariants:\n  a: {expect: []}", "3:7", "expect: unknown key"),
    "a required key": (
        "title: t\nload: {open_loop: {arrivals: poisson}}",
        "2:19",
        "load.open_loop.rate: is required",
    ),
    # Values
    "an empty title": ('title: ""', "1:8", "expected a text of 1 to 200 characters, got 0"),
    "a long title": (f"title: {'t' * 201}", "1:8", "got 201"),
    "no value": ("title:", "1:7", "title: expected a text, got nothing"),
    "a title that is a list": ("title: [t]", "1:8", "title: expected a text, got a list"),
    "claims that are a word": (
        "title: t\nclaims: C1",
        "2:9",
        'claims: expected a list or a mapping of claims, got "C1" (write for example claims: [C18])',
    ),
    "no claim": (
        "title: t\nclaims: [C1, D2]",
        "2:14",
        'claims: there is no claim "D2" (churn claims lists them all)',
    ),
    "a lab that is a word": ("title: t\nlab: pair", "2:6", 'lab: expected a mapping, got "pair"'),
    "a lab that is nothing": ("title: t\nlab:", "2:5", "got nothing (remove the key to keep its default)"),
    "an unknown choice": (
        "title: t\nconnection: {closer: cleint}",
        "2:22",
        'connection.closer: expected client or server or both or nobody, got "cleint" (did you mean "client',
    ),
    "a choice in capitals": ("title: t\nconnection: {close: RST}", "2:21", 'got "RST" (did you mean "rst"?)'),
    "a choice that is a list": (
        "title: t\nlab: {topology: [pair]}",
        "2:17",
        "expected pair or loopback or host or proxy or nat, got a list",
    ),
    "an unknown HTTP": ("title: t\nconnection: {http: 2}", "2:20", 'expected 1.0 or 1.1, got "2"'),
    "no port range": (
        "title: t\nlab: {client: {ports: x}}",
        "2:23",
        'lab.client.ports: expected a port range such as 32768-60999, got "x"',
    ),
    "a low port": ("title: t\nlab: {client: {ports: 80-2000}}", "2:23", "ports lie within 1024 and 65535"),
    "a port range backwards": (
        "title: t\nlab: {client: {ports: 3000-2000}}",
        "2:23",
        "is empty (write 2000-3000)",
    ),
    "too many addresses": ("title: t\nlab: {client: {addresses: 251}}", "2:27", 'from 1 to 250, got "251"'),
    "a duration without a unit": (
        "title: t\nload: {duration: 30}",
        "2:18",
        "a unit is missing: 30s or 30ms?",
    ),
    "a duration that is too long": ("title: t\nload: {duration: 2h}", "2:18", 'from 100ms to 1h, got "2h"'),
    "a duration that is a mapping": (
        "title: t\nload: {duration: {s: 5}}",
        "2:18",
        "expected a duration such as 30s or 250ms, got a mapping",
    ),
    "a rate without a unit": ("title: t\nload: {open_loop: {rate: 10}}", "2:26", "a unit is missing: 10/s?"),
    "a rate that is too high": (
        "title: t\nload: {open_loop: {rate: 2000k/s}}",
        "2:26",
        "from 0.01/s to 1000000/s",
    ),
    "a size that is none": ("title: t\nserver: {response: big}", "2:20", "expected a size in bytes"),
    "a size that is too large": ("title: t\nserver: {response: 17MiB}", "2:20", "from 0B to 16MiB"),
    "an octal number": (
        "title: t\nconnection: {requests: 010}",
        "2:24",
        'the leading zero makes "010" ambiguous',
    ),
    "a number that is a word": (
        "title: t\nserver: {workers: no}",
        "2:19",
        'expected a whole number, got "no"',
    ),
    "a fraction": ("title: t\nserver: {workers: 1.5}", "2:19", 'expected a whole number, got "1.5"'),
    "too few requests": ("title: t\nconnection: {requests: 0}", "2:24", 'from 1 to 1000000, got "0"'),
    "too many connections": (
        "title: t\nload: {closed_loop: {connections: 60001}}",
        "2:35",
        "from 1 to 60000",
    ),
    "a negative number": ("title: t\nload: {seed: -1}", "2:14", 'got "-1"'),
    "samples too close": ("title: t\nsample: {every: 1ms}", "2:17", 'from 10ms to 1min, got "1ms"'),
    "a sysctl of the host": (
        "title: t\nlab: {sysctl: {client: {vm.swappiness: 1}}}",
        "2:25",
        "expected a sysctl of the network",
    ),
    "a sysctl that climbs": (
        "title: t\nlab: {sysctl: {client: {net/../vm: 1}}}",
        "2:25",
        "expected a sysctl of the network",
    ),
    "a sysctl namespaces lack": (
        "title: t\nlab: {sysctl: {server: {net.ipv4.tcp_mem: 1}}}",
        "2:25",
        "belongs to the whole host",
    ),
    "a sysctl of the lab": (
        "title: t\nlab: {sysctl: {client: {net.ipv4.ip_local_port_range: 1 2}}}",
        "2:25",
        "is set by the lab (write lab: {client: {ports",
    ),
    "a sysctl that takes ports away": (
        "title: t\nlab: {sysctl: {client: {net.ipv4.ip_local_reserved_ports: 40000-40899}}}",
        "2:25",
        "would take away ports that churn counts as the client's (choose a range without them: lab: {client",
    ),
    "a sysctl without a value": (
        "title: t\nlab: {sysctl: {client: {net.ipv4.tcp_sack: }}}",
        "2:43",
        "got nothing",
    ),
    "a sysctl that is a list": (
        "title: t\nlab: {sysctl: {client: [net.x]}}",
        "2:24",
        "expected a mapping, got a list",
    ),
    # Values that do not go together
    "two loops": (
        "title: t\nload: {closed_loop: {}, open_loop: {rate: 1/s}}",
        "2:25",
        "load: has both closed_loop and open_loop, and needs exactly one",
    ),
    "a loop that is nothing": (
        "title: t\nload: {closed_loop: }",
        "2:8",
        "has neither closed_loop nor open_loop",
    ),
    "more connections than ports": (
        "title: t\nlab: {client: {ports: 2000-2010}}\nload: {closed_loop: {connections: 12}}",
        "3:35",
        "12 connections in flight exceed the client's 11 ports",
    ),
    "more workers than connections": (
        "title: t\nload: {workers: 3, open_loop: {rate: 1/s, connections: 2}}",
        "2:17",
        "3 load workers need a connection each, and connections is 2",
    ),
    "neither true nor false": (
        "title: t\nload: {pin: yes}",
        "2:13",
        'load.pin: expected true or false, got "yes"',
    ),
    "a list for true or false": (
        "title: t\nserver: {pin: [true]}",
        "2:15",
        "server.pin: expected true or false, got a list",
    ),
    "fewer ports than the default connections": (
        "title: t\nlab: {client: {ports: 2000-2010}}",
        "2:23",
        "lab.client.ports: 64 connections in flight exceed",
    ),
    "sysctls without a namespace": (
        "title: t\nlab: {topology: host, sysctl: {client: {net.ipv4.tcp_sack: 0}}}",
        "2:40",
        "the host's sysctls are left alone",
    ),
    "two values of a sysctl in one namespace": (
        "title: t\nlab: {topology: loopback, sysctl: {client: {net.ipv4.tcp_sack: 0},"
        " server: {net.ipv4.tcp_sack: 1}}}",
        "2:76",
        "loopback is one namespace, and net.ipv4.tcp_sack is 0 at the client and 1 at the server",
    ),
    "addresses that the host lacks": (
        "title: t\nlab: {topology: host, family: ipv6, client: {addresses: 2}}",
        "2:57",
        "the host's IPv6 loopback has one address",
    ),
    "a sample after the end": (
        "title: t\nload: {duration: 1s}\nsample: {every: 2s}",
        "3:17",
        "does not fit into a load of 1s",
    ),
    "thinking in an open loop": (
        "title: t\nload: {open_loop: {rate: 10/s}}\nconnection: {think: 1s}",
        "3:21",
        "connection.think: in an open loop requests arrive at their own instants",
    ),
    # Variants and the matrix
    "no variants": ("title: t\nvariants: {}", "2:11", "names no variant"),
    "variants in a list": ("title: t\nvariants: [a]", "2:11", "variants: expected a mapping, got a list"),
    "a variant that is a word": (
        "title: t\nvariants: {a: b}",
        "2:15",
        'variants.a: expected a mapping, got "b"',
    ),
    "a variant's name": ("title: t\nvariants: {../a: {}}", "2:12", '"../a" cannot name a variant'),
    "a variant's long name": (f"title: t\nvariants: {{{'a' * 81}: {{}}}}", "2:12", "cannot name a variant"),
    "a variant named all": ("title: t\nvariants: {all: {}}", "2:12", '"all" means every variant'),
    **{
        f"a variant named {name}": (
            f"title: t\nvariants:\n  {name}: {{}}",
            "3:3",
            f'variants.{name}: "{name}" is a file of every run',
        )
        for name in ("run.json", "summary.json", "figures", "report.html", "Run.JSON", "FIGURES")
    },
    "a variant named as a part of run.json": (
        "title: t\nvariants: {.run.json.part: {}}",
        "2:12",
        '".run.json.part" cannot name a variant',
    ),
    "a mistake in one variant": (
        "title: t\nvariants:\n  a: {}\n  b: {load: {seed: x}}",
        "4:20",
        'load.seed: expected a whole number, got "x", in variant b',
    ),
    "a matrix of words": ("title: t\nmatrix: {load.seed: 1}", "2:21", "expected a list of values"),
    "an empty axis": ("title: t\nmatrix: {load.seed: []}", "2:21", "the list of values is empty"),
    "an axis of the title": ("title: t\nmatrix: {title: [a]}", "2:10", "is not a setting of variants"),
    "an axis with a gap": ("title: t\nmatrix: {load..seed: [1]}", "2:10", "is not a dotted key"),
    "an axis like nothing": (
        "title: t\nmatrix: {load.sed: [1, 2]}",
        "2:10",
        'load.sed: unknown key (did you mean "seed"?)',
    ),
    "a value on an axis": ("title: t\nmatrix: {load.seed: [1, x]}", "2:25", "in variant seed=x"),
    "two values of one name": (
        "title: t\nmatrix: {server.delay: [1 s, 1/s]}",
        "2:24",
        "two values have one name",
    ),
    "a matrix that explodes": (
        f"title: t\nmatrix: {{load.seed: {list(range(17))}, server.port: {list(range(2000, 2016))}}}",
        "2:9",
        "makes 272 variants, and 256 is the most",
    ),
    # Expectations
    "expectations in a list": ("title: t\nexpect: [a]", "2:9", "expect: expected a mapping, got a list"),
    "an expectation for nobody": (
        "title: t\nvariants: {one: {}}\nexpect: {on: [rate.mean > 0]}",
        "3:10",
        'expect.on: there is no such variant (did you mean "one"?)',
    ),
    "an expectation alone": (
        "title: t\nexpect: {all: rate.mean > 0}",
        "2:15",
        "expected a list of comparisons",
    ),
    "an expectation that is a mapping": (
        "title: t\nexpect: {all: [{rate.mean: 5}]}",
        "2:16",
        "expected a comparison, got a mapping",
    ),
    "an unknown metric": (
        "title: t\nexpect:\n  all:\n    - 0 < client.time_wiat.max",
        "4:11",
        'unknown metric "client.time_wiat.max" (did you mean "client.time_wait.max"?)',
    ),
    "an unknown metric in quotes": ('title: t\nexpect: {all: ["0 < rate.men"]}', "2:21", "unknown metric"),
    "an expectation in two lines": (
        "title: t\nexpect:\n  all:\n    - 0 <\n      rate.men",
        "4:7",
        "unknown metric",
    ),
    "an expectation that assigns": ("title: t\nexpect: {all: [rate.mean = 0]}", "2:26", "equality is =="),
    # Quick
    "a quick that is a word": ("title: t\nquick: yes", "2:8", 'quick: expected a mapping, got "yes"'),
    "a mistake in quick": (
        "title: t\nquick: {load: {duration: 5}}",
        "2:26",
        "load.duration: expected a duration",
    ),
    "a quick that does not fit": (
        "title: t\nload: {closed_loop: {connections: 50}}\nquick: {lab: {client: {ports: 2000-2010}}}",
        "2:35",
        "50 connections in flight exceed the client's 11 ports",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_a_mistake_is_answered_where_it_stands(read: Read, name: str, quick: bool) -> None:
    text, place, fragment = MISTAKES[name]
    (problem,) = problems(read, text, quick=quick)
    assert problem.startswith(f"{place}: ")
    assert fragment in problem


@pytest.mark.parametrize(
    ("argument", "fragment"),
    [
        ("load.duration", "expected a key and a value"),
        ("=5s", "expected a key and a value"),
        ("load.duration=", "load.duration: expected a duration such as 30s or 250ms, got nothing"),
        ("load.duration=5", "a unit is missing: 5s or 5ms?"),
        ("load.durtion=5s", 'load.durtion: unknown key (did you mean "duration"?)'),
        ("title=x", "title: is not a setting of variants (keys of variants begin with lab, server"),
        ("variants.a=x", "is not a setting of variants"),
        ("lod.duration=5s", 'did you mean "load"?'),
        ("load..duration=5s", "is not a dotted key"),
        ("load=", "load: expected a mapping, got nothing"),
        ("load.duration.x=1", "load.duration: expected a duration such as 30s or 250ms, got a mapping"),
        ("server={kind: aiohttp", "a bracket is opened here and never closed"),
        ("server=*x", "*x names nothing above it"),
        ("server.port=\x00", "U+0000 may not stand"),
        ("lab.sysctl.client.vm.x=1", "expected a sysctl of the network namespace"),
    ],
)
def test_a_wrong_override_is_shown_as_it_was_given(read: Read, argument: str, fragment: str) -> None:
    (problem,) = problems(read, "title: t\nvariants: {a: {}, b: {}}", overrides=[argument])
    assert problem.startswith(f"--set {visible(argument)}: ")
    assert fragment in problem


def test_all_problems_are_told_at_once_in_the_order_of_the_file(read: Read) -> None:
    found = problems(
        read,
        "titel: t\nload: {duration: 5}\nvariants: {a: {}, b: {sample: 5}}\nexpect: {c: [x > 0]}\n",
        overrides=["server.port=80"],
    )
    assert [problem.partition(": ")[0] for problem in found] == [
        "1:1",
        "1:1",
        "2:18",
        "3:31",
        "4:10",
        "4:14",
        "--set server.port=80",
    ]


def test_a_problem_of_the_defaults_is_told_once(read: Read) -> None:
    variants = ", ".join(f"v{number}: {{}}" for number in range(20))
    found = problems(
        read, f"title: t\nload: {{duration: x}}\nvariants: {{{variants}}}\nquick: {{server: {{port: 1}}}}"
    )
    assert len(found) == 2


def test_a_problem_of_some_variants_names_them(read: Read) -> None:
    text = """title: t
load: {closed_loop: {connections: 50}}
variants: {a: {lab: {client: {ports: 2000-2010}}}, b: {}}
"""
    (problem,) = problems(read, text)
    assert problem.startswith("2:35: load.closed_loop.connections: 50 connections in flight")
    assert "in variant a (widen lab.client.ports" in problem
    many = ", ".join(f"v{n}: {{lab: {{client: {{ports: 2000-2010}}}}}}" for n in range(9))
    text = f"title: t\nload: {{closed_loop: {{connections: 50}}}}\nvariants: {{{many}, b: {{}}}}"
    assert "in variants v0, v1, v2 and 6 more" in problems(read, text)[0]


@pytest.mark.parametrize(
    ("name", "fragment"),
    [("nothing", "there is no such file"), ("", "is not a file"), ("a\0b", "cannot be read")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, fragment: str) -> None:
    path = tmp_path / name
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{visible(str(path))}: {fragment}")
    assert problem.hint


# Anything at all: a scenario, or problems with their places

_WORDS = [
    "title",
    "load",
    "{}",
    "[]",
    "no",
    "010",
    "-1",
    "1e3",
    "5s",
    "*a",
    "&a",
    "<<",
    "|",
    "'",
    "\t",
    "- ",
    ": ",
    "#",
    "é",
]


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """The text of http10.yaml with a few lines deleted, doubled, moved, or a word in them replaced."""
    lines = HTTP10.read_text().splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "double", "indent", "word", "text", "move", "character"])):
            case "delete":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "indent":
                lines[at] = " " * draw(st.integers(1, 4)) + lines[at]
            case "word":
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(_WORDS))
                lines[at] = " ".join(words)
            case "text":
                lines[at] = draw(st.text(max_size=20)) + "\n"
            case "move":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
                del lines[at]
            case _:
                column = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:column] + draw(st.characters()) + lines[at][column + 1 :]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _scenario_or_places(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    try:
        scenario = load_scenario(path, metrics=METRICS)
    except ScenarioError as error:
        found = error.problems
    else:
        assert restore(resolved(scenario)) == scenario
        return
    assert found
    last_line = len(data.decode("utf-8", "replace").splitlines()) + 1
    for problem in found:
        assert problem.mark.source == str(path)
        assert 1 <= problem.mark.line <= last_line
        assert problem.mark.column >= 1
        assert "Input should" not in problem.message
        assert str(problem).encode()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutations())
def test_a_mutated_scenario_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    _scenario_or_places(tmp_path, data)


_VALUES = st.recursive(
    st.sampled_from([*_WORDS, "client", "poisson", "30s", "2000-3000", "null", "~", "1.0"])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "title",
    "claims",
    "lab",
    "server",
    "load",
    "connection",
    "sample",
    "variants",
    "matrix",
    "expect",
    "quick",
]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6))
def test_any_tree_is_read_or_refused(tmp_path: Path, tree: dict[str, Any]) -> None:
    _scenario_or_places(tmp_path, json.dumps({"title": "t", **tree}).encode())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    _scenario_or_places(tmp_path, data)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["load", "load.duration", "server.port", "lab.sysctl.client.net.x", "x"])
    | st.text(max_size=9),
    value=_VALUES.map(json.dumps) | st.text(max_size=20),
)
def test_any_override_is_read_or_refused(read: Read, key: str, value: str) -> None:
    argument = f"{key}={value}"
    try:
        scenario = read("title: t", overrides=[argument])
    except ScenarioError as error:
        assert {problem.mark.source for problem in error.problems} == {f"--set {argument}"}  # noqa: PT017
    else:
        assert restore(resolved(scenario)) == scenario


# The schema


def _plain(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_fits_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(_plain(path))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"title": "t", "lod": {}},
        {"title": "t", "load": {"duration": 30}},
        {"title": "t", "load": {"duration": "x"}},
        {"title": "t", "load": {"closed_loop": None}},
        {"title": "t", "connection": {"closer": "cleint"}},
        {"title": "t", "variants": {"a": {"server": {"workers": 65}}}},
        {"title": "t", "variants": {"a/b": {}}},
        {"title": "t", "claims": ["D1"]},
        {"title": "t", "claims": ["C99"]},
        {"title": "t", "claims": {"C99": {"confirmed": ["rate.mean@main > 0"]}}},
        {"title": "t", "claims": {"C1": {"confirm": ["rate.mean@main > 0"]}}},
        {"title": "t", "claims": {"C1": {"confirmed": "rate.mean@main > 0"}}},
        {"title": "t", "claims": {"C1": {"depends": ["rate.mean@main > 0"]}}},
        {"title": "t", "lab": {"client": {"ports": "x"}}},
        {"title": "t", "quick": {"lab": {"sysctl": {"client": {"vm.x": 1}}}}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_refuses(document: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def test_the_schema_describes_every_key_and_knows_its_default() -> None:
    schema = json_schema()
    parts = [schema, *(part for part in schema["$defs"].values() if part["type"] == "object")]
    for part in parts:
        assert part["additionalProperties"] is False
        assert all(key["description"] for key in part["properties"].values())
    load = schema["$defs"]["Load"]["properties"]
    assert load["duration"]["default"] == "10s"
    assert "default" not in load["open_loop"]
    assert schema["$defs"]["LabClient"]["properties"]["ports"]["default"] == "32768-60999"


def test_a_layer_may_leave_out_what_another_brings() -> None:
    document = {"title": "t", "load": {"open_loop": {"arrivals": "poisson"}}}
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def test_mutated_scenarios_are_taken_or_refused_with_each_problem_in_its_place(tmp_path: Path) -> None:
    assert attack(range(150), tmp_path) == []  # more of it: python -m tests.attack.scenarios
