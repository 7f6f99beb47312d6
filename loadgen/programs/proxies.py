"""The proxies that churn configures: nginx and HAProxy, each with one file. Pure, but for `version`.

One worker each, without a log of requests. What a scenario does not name is at the program's default, but for
limits on the requests and the idle time of the client's connections: those are raised, so that the client's
connections end as `connection` says.
"""

import math
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from loadgen.programs.plan import find_program
from loadgen.scenario.choices import ConnectionHeader, ProxyReuse
from loadgen.scenario.proxy import Proxy

ANY_NUMBER = 1_000_000_000
SPARE = 64
"""Connections beside the load's: listeners, and those that are closing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a proxy is configured for.

    `listen` is the address that it accepts on, `servers` those that it connects to, each with its port, from
    `sources`, IPv6 in brackets; at most `connections` of the client are open at a time.
    """

    listen: str
    servers: tuple[str, ...]
    sources: tuple[str, ...]
    connections: int
    backlog: int
    settings: Proxy


@dataclass(frozen=True, slots=True)
class Program:
    """A program that churn configures: its arguments behind its name, its file, and what stands there."""

    name: str
    arguments: tuple[str, ...]
    file: str
    configure: Callable[[Asked], str]

    def argv(self, directory: str) -> tuple[str, ...]:
        path = find_program(self.name) or self.name
        return (path, *(argument.replace("{dir}", directory) for argument in self.arguments))


def _nginx(asked: Asked) -> str:
    proxy = asked.settings
    servers = "".join(f"server {server}; " for server in asked.servers)
    kept = ""
    if proxy.keep:
        idle_ms = proxy.idle_timeout // 1_000_000
        kept = f"keepalive {proxy.keep}; keepalive_timeout {idle_ms}ms; keepalive_requests {ANY_NUMBER}; "
    cleared = proxy.connection_header is ConnectionHeader.CLEARED
    header = 'proxy_set_header Connection "";' if cleared else "# no proxy_set_header Connection"
    split, bind = _split(asked.sources)
    return f"""\
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections {2 * asked.connections + proxy.keep + SPARE}; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream servers {{ {servers}{kept}}}{split}
  server {{
    listen {asked.listen} backlog={asked.backlog};
    keepalive_requests {ANY_NUMBER};
    keepalive_timeout 1h;
    location / {{
      proxy_pass http://servers;
      proxy_http_version {proxy.http};
      {header}{bind}
    }}
  }}
}}
"""


def _split(sources: Sequence[str]) -> tuple[str, str]:
    """The lines that give each request one of several addresses to connect from: in `http`, in `location`."""
    if len(sources) == 1:
        return "", ""
    share = f"{math.floor(10_000 / len(sources)) / 100:.2f}%"
    *others, last = sources
    parts = "".join(f"{share} {source}; " for source in others)
    return f"\n  split_clients $request_id $source {{ {parts}* {last}; }}", "\n      proxy_bind $source;"


def _haproxy(asked: Asked) -> str:
    proxy = asked.settings
    keeps = "option http-keep-alive" if proxy.keep else "option http-server-close"
    reuse = f"http-reuse {'always' if proxy.reuse is ProxyReuse.ALWAYS else 'safe'}"
    pool = f"pool-max-conn {proxy.keep} pool-purge-delay {proxy.idle_timeout // 1_000_000}ms"
    ways = product(asked.sources, asked.servers)
    several = len(asked.sources) > 1
    servers = "\n".join(
        f"  server server{number} {server} {f'source {source}:0 ' if several else ''}{pool}"
        for number, (source, server) in enumerate(ways, 1)
    )
    return f"""\
global
  fd-hard-limit {2 * asked.connections + proxy.keep + 4 * SPARE}
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  {keeps}
  {reuse}
frontend clients
  bind {asked.listen} backlog {asked.backlog}
  default_backend servers
backend servers
{servers}
"""


NGINX = Program("nginx", ("-e", "stderr", "-p", "{dir}", "-c", "nginx.conf"), "nginx.conf", _nginx)
HAPROXY = Program("haproxy", ("-db", "-f", "haproxy.cfg"), "haproxy.cfg", _haproxy)


def version(path: str) -> str:
    """What a program says of its version, in one line; empty if it does not know `-v`."""
    try:
        answer = subprocess.run([path, "-v"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = (answer.stdout or answer.stderr).decode(errors="replace").strip()
    return said.splitlines()[0] if answer.returncode == 0 and said else ""
