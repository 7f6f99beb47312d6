"""The server of a measurement: nginx, or the bundled one. Ready when the block is entered."""

import contextlib
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.child import end_process, start_module
from bench.load import BACKLOG, BODY, PORT, Cores, Exchange, Load, Program, pinned
from bench.waiting import until
from loadgen.kernel import sockstat
from loadgen.kernel.procfile import PROC
from loadgen.lab.lab import Lab
from loadgen.programs.plan import find_program
from loadgen.tcp import CloseMethod, Closer, Side
from loadgen.wire.messages import Listening
from servers.behaviour import Behaviour
from servers.lines import Line
from servers.plan import Kind, Plan

SPELT_OUT_MOST = 1024
"""Bytes of a body in nginx's configuration, which takes no word of 4 KiB; a larger body is a file."""
PATIENCE_S = 10.0
KEPT_REQUESTS = 1_000_000_000
PAGE = "page"

_NGINX = """\
user root; daemon off; master_process off; worker_processes 1; worker_rlimit_nofile {files};
pid {directory}/pid; error_log {directory}/errors emerg;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log off; sendfile on; tcp_nopush on; open_file_cache max=1;
    keepalive_timeout {keepalive}; keepalive_requests {requests};
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen {port} backlog={backlog};
        location / {{ {header} {body} }}
    }}
}}
"""


class NotServingError(Exception):
    """The server does not listen."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens: its first process, and those that do the work."""

    pid: int
    workers: tuple[int, ...]

    @property
    def net(self) -> Path:
        """Its namespace's files."""
        return PROC / str(self.pid) / "net"


def nginx_conf(load: Load, directory: str, files: int) -> str:
    """nginx as the load needs it.

    Where the client is to close first nginx keeps the connection, and says `Connection: close` all the
    same: tools that believe it close. That is the one way to have them all be first. It stays root, for in an
    ordinary user's lab there is nobody else.
    """
    keeps = load.exchange is Exchange.KEPT or load.closer is Closer.CLIENT
    return _NGINX.format(
        directory=directory,
        files=files,
        connections=files - 100,
        keepalive="60s" if keeps else "0",
        requests=KEPT_REQUESTS,
        port=PORT,
        backlog=load.backlog,
        header="add_header Connection close;" if load.client_closes else "",
        body=(
            f'return 200 "{"x" * load.response}";'
            if load.response <= SPELT_OUT_MOST
            else f"root {directory}; try_files /{PAGE} =404;"
        ),
    )


@asynccontextmanager
async def serving(lab: Lab, load: Load, cores: Cores, files: int) -> AsyncGenerator[Server]:
    """The load's server, on the last core. Raises NotServingError."""
    if load.server is Program.CHURN:
        requests = 1 if load.exchange is Exchange.SHORT else KEPT_REQUESTS
        async with churn_server(
            lab, load.closer, requests, cores, backlog=load.backlog, response=load.response
        ) as server:
            yield server
        return
    with TemporaryDirectory(prefix="churn-bench-") as directory:
        conf = Path(directory) / "nginx.conf"
        conf.write_text(nginx_conf(load, directory, files))
        (Path(directory) / PAGE).write_bytes(bytes(load.response))
        errors = Path(directory) / "errors"
        argv = [*pinned(cores.server), find_program("nginx") or "nginx", "-e", str(errors), "-c", str(conf)]
        process = await lab.spawn(Side.SERVER, argv, stdout=DEVNULL, stderr=DEVNULL)
        try:
            server = Server(process.pid, (process.pid,))
            if not await _listens(server.net, process):
                raise NotServingError(f"nginx did not listen: {_last_line(errors)}")
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await end_process(process)


@asynccontextmanager
async def churn_server(
    lab: Lab,
    closer: Closer,
    requests: int,
    cores: Cores,
    *,
    port: int = PORT,
    backlog: int = BACKLOG,
    response: int = BODY,
) -> AsyncGenerator[Server]:
    """The bundled server."""
    behaviour = Behaviour(closer, requests, CloseMethod.FIN, response_size=response)
    plan = Plan(Kind.PROTOCOL, behaviour, lab.addresses[Side.SERVER], port, backlog=backlog)
    child = await start_module(lab, Side.SERVER, "servers", plan, Line, cores.server)
    try:
        listening = await child.expect(Listening)
        yield Server(child.pid, listening.pids)
    finally:
        child.terminate()
        await child.end()


async def _listens(net: Path, process: Process) -> bool:
    """Whether the namespace gets a socket before the process ends: its listener is the first."""
    with sockstat.open(net) as sockets:

        def listens() -> bool:
            return sockets.read().inuse > 0

        await until(lambda: listens() or process.returncode is not None, PATIENCE_S)
        return listens()


def _last_line(errors: Path) -> str:
    lines = errors.read_text(errors="replace").splitlines() if errors.exists() else []
    return lines[-1] if lines else "it said nothing"
