"""Every way to close: a variant that makes it, and the states that both sides pass through.

A state in brackets may be missing: the peer's FIN may acknowledge the closer's. Ways whose states are those
of another one are in tests/drivers/test_closing.py (half-closes by the server, close() with bytes unread,
SO_LINGER {1, n}) and in test_capture.py (resets by the server).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

OPEN_CLIENT, OPEN_SERVER = "SYN-SENT ESTABLISHED", "SYN-RECEIVED ESTABLISHED"
ACTIVE, PASSIVE = "FIN-WAIT-1 [FIN-WAIT-2] TIME-WAIT", "CLOSE-WAIT LAST-ACK"
WAITING = "FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"
CROSSED = "FIN-WAIT-1 CLOSING TIME-WAIT"
PACED = "open_loop: {rate: 10/s, late: 1min}, duration: 1500ms"
LOST_ACKS = (
    "connection: {closer: client}, script: [{at: 0s, for: 650ms, do: drop, what: last_ack, on: client}]"
)


@dataclass(frozen=True, slots=True)
class Way:
    """`settings` are a variant's keys; `client` and `server` the states after ESTABLISHED.

    `response` is the size of the bundled server's, if it matters; `kind` its kind. `loses`: ACKs of the
    client are dropped. `share` of the connections have to pass these states: FINs may not cross on a machine
    that is held up.
    """

    settings: str
    client: str
    server: str
    response: str = ""
    kind: str = "protocol"
    load: str = "open_loop: {rate: 40/s, late: 1min}, duration: 200ms"
    loses: bool = False
    share: float = 1.0

    @property
    def keys(self) -> str:
        """All keys of the variant."""
        response = f", response: {self.response}" if self.response else ""
        server = f"{{kind: {self.kind}, delay: 20ms{response}}}"
        return f"load: {{driver: protocol, {self.load}}}, server: {server}, {self.settings}"


CLIENT = r"""
import os, signal, socket, time

kept = []
for way in "slow", "stuck", "killed", "unread":
    for _ in range(3):
        sock = socket.create_connection(("{host}", {port}))
        sock.sendall(f"GET /{way} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
        if way == "unread":
            time.sleep(0.05)
        else:
            sock.recv(4096)
        kept.append(sock)
for sock in kept[:6]:
    sock.close()
time.sleep(1.5)
os.kill(os.getpid(), signal.SIGKILL)
"""
SERVER = r"""
import asyncio

async def serve(reader, writer):
    request = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")
    try:
        await reader.read()
        await asyncio.sleep({b"/slow": 0.2, b"/stuck": 3600}.get(request.split()[1], 0))
    except ConnectionResetError:
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "{host}", {port})
    await server.serve_forever()

asyncio.run(main())
"""
_UNSENT = "closer: client, close: unsent, protocol: raw, request: 64KiB"
WAYS = {
    "fin-by-client": Way("connection: {closer: client}", ACTIVE, PASSIVE),
    "fin-by-server": Way("connection: {closer: server}", PASSIVE, ACTIVE),
    "rst-by-client": Way("connection: {closer: client, close: rst}", "", ""),
    "half": Way("connection: {closer: client, close: half}", WAITING, PASSIVE),
    "unsent": Way("connection: {closer: server, close: unsent}", PASSIVE, ACTIVE, "64KiB"),
    "unsent-reset": Way("connection: {closer: server, close: unsent, linger: 0}", "", "", "64KiB"),
    "unsent-client": Way(f"connection: {{{_UNSENT}}}", ACTIVE, PASSIVE, kind="raw"),
    "unsent-client-reset": Way(f"connection: {{{_UNSENT}, linger: 0}}", "", "", kind="raw"),
    "headers": Way("connection: {closer: client, read: headers}", "", ""),
    "fin-by-both": Way("connection: {closer: both}", CROSSED, CROSSED, share=0.5),
    "last-ack-lost": Way(LOST_ACKS, ACTIVE, PASSIVE, load=PACED, loses=True),
    "last-ack-lost-no-time-wait": Way(
        f"{LOST_ACKS}, lab: {{sysctl: {{client: {{net.ipv4.tcp_max_tw_buckets: 0}}}}}}",
        "FIN-WAIT-1 [FIN-WAIT-2]",
        PASSIVE,
        load=PACED,
        loses=True,
    ),
}
PROGRAMS = "programs"
"""A variant in which programs close, three connections in each of these ways, in this order."""
CRASHED = "crashed"
"""A variant in which the client's host is gone, which no packet shows. The server closes as the run ends."""
KEPT = r"""
import socket, time

kept = [socket.create_connection(("{host}", {port})) for _ in range(3)]
time.sleep(1.5)
"""
OF_PROGRAMS = {
    "slow": (WAITING, PASSIVE),
    # No packet shows that tcp_fin_timeout ended FIN-WAIT-2; the FIN of the program's end is answered by RST.
    "stuck": ("FIN-WAIT-1 FIN-WAIT-2", PASSIVE),
    "killed": (ACTIVE, PASSIVE),
    "killed-unread": ("", ""),
}
EACH = 3
_VARIANTS = "\n".join(f"  {name}: {{{way.keys}}}" for name, way in WAYS.items())
SCENARIO = f"""
title: Every way to close
sample: {{every: 10ms}}
capture: {{connections: 100}}
variants:
{_VARIANTS}
  {PROGRAMS}:
    lab: {{sysctl: {{client: {{net.ipv4.tcp_fin_timeout: 1}}}}}}
    connection: {{closer: client}}
    server:
      kind: command
      command: ["{{python}}", "{{dir}}/server.py"]
      files: {{server.py: {json.dumps(SERVER)}}}
    load:
      driver: command
      command: ["{{python}}", "{{dir}}/client.py"]
      files: {{client.py: {json.dumps(CLIENT)}}}
      expect_status: -9
      duration: 5s
  {CRASHED}:
    connection: {{closer: client}}
    script: [{{at: 700ms, do: crash, on: client}}]
    load:
      driver: command
      command: ["{{python}}", "{{dir}}/kept.py"]
      files: {{kept.py: {json.dumps(KEPT)}}}
      duration: 5s
"""


def expected(variant: str, number: int) -> tuple[str, str]:
    """The states of client and server after ESTABLISHED, of a variant's connection; the first is 0."""
    if variant == CRASHED:
        return "", "[FIN-WAIT-1]"
    if variant == PROGRAMS:
        return list(OF_PROGRAMS.values())[number // EACH]
    return WAYS[variant].client, WAYS[variant].server


def follows(path: Sequence[str], states: str) -> bool:
    """Whether a path has these states in order, and no other; it may lack those in brackets."""
    left = list(path)
    for state in states.split():
        if left and left[0] == state.strip("[]"):
            left.pop(0)
        elif not state.startswith("["):
            return False
    return not left
