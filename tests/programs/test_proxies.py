"""The configurations of the proxies: each setting of a scenario is a line, and the programs accept them."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadgen.programs.plan import find_program
from loadgen.programs.proxies import HAPROXY, NGINX, Asked, Program, version
from loadgen.scenario.proxy import Proxy

SERVERS = ("127.0.0.1:8081", "127.0.0.2:8081")


def asked(**settings: Any) -> Asked:
    return Asked(
        "127.0.0.1:8080",
        SERVERS,
        ("127.0.0.1",),
        100,
        4096,
        Proxy.model_validate({"kind": "nginx", **settings}),
    )


@pytest.mark.parametrize(
    ("settings", "there", "absent"),
    [
        ({}, ["proxy_http_version 1.1;", 'proxy_set_header Connection "";'], ["keepalive 0", "  keepalive "]),
        ({"keep": 8, "idle_timeout": "1500ms"}, ["keepalive 8; keepalive_timeout 1500ms;"], []),
        ({"http": "1.0"}, ["proxy_http_version 1.0;"], ["proxy_http_version 1.1;"]),
        ({"connection_header": "default"}, [], ['proxy_set_header Connection ""']),
    ],
)
def test_nginx(settings: dict[str, Any], there: list[str], absent: list[str]) -> None:
    text = NGINX.configure(asked(**settings))
    assert all(part in text for part in ("server 127.0.0.1:8081; server 127.0.0.2:8081;", *there))
    assert not any(part in text for part in absent)


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({}, ["option http-server-close", "pool-max-conn 0", "http-reuse always"]),
        (
            {"keep": 8, "idle_timeout": "2s"},
            ["option http-keep-alive", "pool-max-conn 8 pool-purge-delay 2000ms"],
        ),
        ({"keep": 8, "reuse": "safe"}, ["http-reuse safe"]),
    ],
)
def test_haproxy(settings: dict[str, Any], there: list[str]) -> None:
    text = HAPROXY.configure(asked(**settings))
    assert all(part in text for part in ("server1 127.0.0.1:8081", "server2 127.0.0.2:8081", *there))


def test_several_sources_share_the_connections() -> None:
    one = asked()
    assert "proxy_bind" not in NGINX.configure(one)
    assert " source " not in HAPROXY.configure(one)
    three = replace(one, sources=("127.0.0.5", "127.0.0.6", "127.0.0.7"))
    split = "split_clients $request_id $source { 33.33% 127.0.0.5; 33.33% 127.0.0.6; * 127.0.0.7; }"
    assert split in NGINX.configure(three)
    assert "proxy_bind $source;" in NGINX.configure(three)
    lines = [line.split() for line in HAPROXY.configure(three).splitlines() if line.startswith("  server ")]
    assert [(line[2], line[4]) for line in lines] == [
        (server, f"{source}:0") for source in three.sources for server in SERVERS
    ]
    assert len({line[1] for line in lines}) == 6


@pytest.mark.parametrize("sources", [("127.0.0.1",), ("127.0.0.5", "127.0.0.6"), ("[::1]", "[::2]")])
@pytest.mark.parametrize("keep", [0, 8])
@pytest.mark.parametrize(("program", "check"), [(NGINX, "-t"), (HAPROXY, "-c")])
def test_the_program_accepts_its_configuration(
    program: Program, check: str, keep: int, sources: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / program.file).write_text(program.configure(replace(asked(keep=keep), sources=sources)))
    argv = program.argv(str(tmp_path))
    found = subprocess.run(
        [*argv, check], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert found.returncode == 0, found.stderr


def test_a_version_is_the_first_line_and_empty_where_there_is_none(tmp_path: Path) -> None:
    nginx = find_program("nginx")
    assert nginx is not None
    assert version(nginx).startswith("nginx version: nginx/")
    assert version(str(tmp_path / "absent")) == ""
    assert version("/bin/false") == ""
