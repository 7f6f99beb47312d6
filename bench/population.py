"""A population of TIME-WAITs on the client's side of a lab, made before a measurement."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

from bench import fill as program
from bench.child import end_process
from bench.load import DEFAULT_PORTS, PORT, Cores, lab_spec, pinned
from bench.serving import churn_server
from loadgen.kernel import sockstat
from loadgen.kernel.procfile import PROC
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.tcp import Closer, Side

OTHER_PORT = 8081
ENOUGH = 0.99
"""So much of a population is taken for all of it."""
FILL_LIMIT_S = 40.0
"""Less than TIME-WAIT lasts (K2): the first ones are still there when the last are made."""


class NotHeldError(Exception):
    """The population could not be made."""


@dataclass(frozen=True, slots=True)
class Population:
    """So many TIME-WAITs. On the `same_path` they take ports from the load that is measured; towards others
    (another port of the server) they only fill the kernel's tables."""

    count: int
    same_path: bool = False

    def spec(self) -> LabSpec:
        """The lab that it takes: a range of ports for each server address (K7)."""
        if self.same_path:
            return lab_spec()
        return lab_spec(max(1, -(-self.count // (DEFAULT_PORTS[1] - DEFAULT_PORTS[0] + 1))))

    def __str__(self) -> str:
        if not self.count:
            return "no TIME-WAIT before"
        where = "on the same path" if self.same_path else "towards others"
        return f"{self.count:,} TIME-WAITs {where}"


NOBODY = Population(0)


async def fill(lab: Lab, held: Population, cores: Cores) -> None:
    """Make it. Raises NotHeldError."""
    if not held.count:
        return
    port = PORT if held.same_path else OTHER_PORT
    async with churn_server(lab, Closer.CLIENT, 1, cores, port=port):
        argv = [sys.executable, "-P", str(Path(program.__file__)), str(held.count), str(port)]
        argv += [*map(str, DEFAULT_PORTS), *lab.addresses[Side.SERVER]]
        process = await lab.spawn(Side.CLIENT, [*pinned(cores.clients(1)), *argv], stderr=PIPE)
        with sockstat.open(PROC / str(process.pid) / "net") as sockets:
            try:
                async with asyncio.timeout(FILL_LIMIT_S):
                    _, told = await process.communicate()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                raise NotHeldError(f"took longer than {FILL_LIMIT_S:.0f} s") from None
            finally:
                await end_process(process)
            if process.returncode:
                words = told.decode(errors="replace").strip().splitlines()
                raise NotHeldError(words[-1] if words else f"fill.py ended with status {process.returncode}")
            # Each was there when the next was begun; a late ACK that a RST answers has ended some few since.
            found = sockets.read().tw
        if found < held.count * ENOUGH:
            raise NotHeldError(f"only {found:,} of {held.count:,} TIME-WAITs are there")
