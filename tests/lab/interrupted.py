"""Begins processes of a lab while SIGINT after SIGINT comes from the terminal.

`python -m tests.lab.interrupted`, leader of a session. Exits with 0 if none of the processes minded.
"""

import asyncio
import os
import signal
import sys
import time

import uvloop

from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.tcp import Side

LABS = 5
PROCESSES = 40
LIMIT_S = 60
EVERY_S = 0.0003
"""Several while a process is begun."""


def keep_interrupting() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end, parent = time.monotonic() + LIMIT_S, os.getppid()
    while time.monotonic() < end and os.getppid() == parent:
        os.killpg(0, signal.SIGINT)
        time.sleep(EVERY_S)


async def begin() -> None:
    for _ in range(LABS):
        with open_lab(client_server_lab()) as lab:
            for _ in range(PROCESSES // LABS):
                process = await lab.spawn(Side.CLIENT, ["true"])
                code = await process.wait()
                if code:
                    sys.exit(f"a process ended with {code}")


def main() -> None:
    signal.signal(signal.SIGINT, lambda *_: None)
    sender = os.fork()
    if not sender:
        try:
            keep_interrupting()
        finally:
            os._exit(0)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(begin())
    finally:
        os.kill(sender, signal.SIGKILL)
        os.waitpid(sender, 0)


if __name__ == "__main__":
    main()
