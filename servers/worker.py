"""One worker of a server: an event loop, its own listeners, and one kind of server."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Sequence

import uvloop

from loadgen.wire.messages import GapCause, Listening, Unobserved
from loadgen.wire.pulse import Pulse
from servers import protocol
from servers.connection import Service
from servers.http import http
from servers.lines import AcceptError, Bound, Line
from servers.listener import Listener, listen
from servers.plan import Kind, Plan
from servers.raw import raw

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})

DRAIN_S = 2.0
"""After a stop signal, exchanges under way may take so long; then their connections are reset."""

BEAT_S = 0.5

LEAST_QUEUE = 4_096
"""The receive queue, if clients are to close with bytes unsent: they have no room here."""


def stop_signals() -> list[signal.Signals]:
    """The stop signals, except those that the caller ignores, as `nohup` does."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def run_worker(plan: Plan, sockets: Sequence[socket.socket], report: Callable[[Line], None]) -> None:
    """Serve on the bound sockets until a stop signal, which the caller has blocked; then drain."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(plan, sockets, report))


async def _serve(plan: Plan, sockets: Sequence[socket.socket], report: Callable[[Line], None]) -> None:
    loop = asyncio.get_running_loop()
    port = int(sockets[0].getsockname()[1])
    if plan.workers > 1 and plan.worker == 0:
        # Before what takes long: the others can begin with theirs.
        report(Bound(port))
    speaks = raw if plan.kind is Kind.RAW else http
    service = Service(plan.behaviour, speaks(plan.behaviour), loop)
    served = service.served
    make = await _connection_factory(plan.kind, service)

    def failed(error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, str(error))
        served.accept_errors[name] = served.accept_errors.get(name, 0) + 1
        report(AcceptError(name))

    stop = asyncio.Event()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    for sock in sockets:
        if plan.behaviour.takes_unsent:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LEAST_QUEUE)  # inherited
        listen(sock, plan.backlog, plan.keepalive)
    listeners = [Listener(sock, loop, make, failed) for sock in sockets]
    for listener in listeners:
        listener.start()
    report(Listening(port))

    watching = loop.create_task(_watch(report))
    await stop.wait()
    for listener in listeners:
        listener.close()
    await asyncio.gather(*service.openings, return_exceptions=True)
    service.stop()
    await _drain(service)
    watching.cancel()
    report(served)


async def _connection_factory(kind: Kind, service: Service) -> Callable[[socket.SocketType], object]:
    if kind is Kind.AIOHTTP:
        # Imported here: it takes longer than all the rest.
        from servers.aiohttp_server import connection_factory

        return await connection_factory(service)
    return protocol.connection_factory(service)


async def _watch(report: Callable[[Line], None]) -> None:
    """Report each span in which the worker was held up."""
    pulse = Pulse(round(BEAT_S * 1e9))
    while True:
        await asyncio.sleep(BEAT_S)
        if (span := pulse.beat()) is not None:
            report(Unobserved(span.start_ns, span.end_ns, GapCause.HELD_UP))


async def _drain(service: Service) -> None:
    """Wait for the last connections, then reset those that are left."""
    try:
        async with asyncio.timeout(DRAIN_S):
            await service.emptied.wait()
    except TimeoutError:
        service.reset()
        await service.emptied.wait()
