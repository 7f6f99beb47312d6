"""The tools of `tools.toml`: how each is asked for a load, and what it prints at its end. Pure."""

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.session import lab_spec
from bench.studies import SECOND_NS, client_closes, is_short
from loadgen.scenario.choices import ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.uring.offer import offer

BEFORE_THE_CLIFF = 30_000
"""Connections that a client which closes first may make: less than half of its ports (K8)."""
MOST_SHORT, MOST_KEPT = 40_000, 200_000
"""Exchanges a second that no tool here exceeds on a core: tools that take no time get so many."""
FLOOR = Path(__file__).with_name("floor.c")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program; the file says what its fields are."""

    name: str
    short: str
    kept: str
    counted: str
    paced: str = ""
    close: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    shown: str = r"(\S+)"
    closes_first: bool = True
    most: int = 60_000
    threads: bool = False

    def able(self, load: Variant) -> bool:
        if client_closes(load) and not self.closes_first:
            return False
        if load.load.open_loop:
            return bool(self.paced)
        return load.load.loop.connections <= self.most and (self.threads or load.load.workers == 1)

    def argv(self, load: Variant) -> list[str]:
        """Its command line, with a scenario's placeholders."""
        line = self.paced if load.load.open_loop else self.short if is_short(load) else self.kept
        # nginx would close at once if asked. If the client is to be first nginx only says that it closes
        # (`bench.nginx`); the bundled server says so if asked, and leaves it to the client.
        asked = not (client_closes(load) and load.server.kind is ServerKind.COMMAND)
        argv: list[str] = []
        for word in line.split():
            argv += (self.close if asked else ()) if word == "{close}" else (_filled(word, load),)
        return argv

    def own_count(self, printed: str) -> int | None:
        """The responses that it counted; None if it does not print that."""
        found = re.search(self.counted, printed)
        return int(found[1]) if found else None


def _filled(word: str, load: Variant) -> str:
    """The bench's own words; a scenario's are left for `loadgen.scenario.placeholders`.

    `number` is that of exchanges: as many as outlast the window, and none beyond the cliff, where they would
    take minutes (K8).
    """
    connections, loop = load.load.loop.connections, load.load.open_loop
    per_s = int(loop.rate) if loop else MOST_SHORT if is_short(load) else MOST_KEPT
    started = per_s * (load.load.duration // SECOND_NS)
    number = min(started, BEFORE_THE_CLIFF + 1500) if client_closes(load) else started
    words = {
        "addresses": ",".join(lab_spec(load).sides[Side.SERVER].addresses),
        "closer": load.connection.closer,
        "workers": load.load.workers,
        "number": max(number, connections),
        "started": started,
        "each": started // connections,
        "rate": per_s,
        "per_ms": per_s // 1000,
    }
    return re.sub(r"{([a-z_]+)}", lambda found: str(words.get(found[1], found[0])), word)


_FILE = tomllib.loads(Path(__file__).with_name("tools.toml").read_text())
TOOLS = tuple(msgspec.convert({"name": name, **fields}, Tool) for name, fields in _FILE.items())


class NotBuiltError(Exception):
    """floor.c could not be built; the text says why."""


def build_floor(directory: Path) -> Tool:
    """`floor.c`, the least that a client on io_uring spends, in `directory`. Raises NotBuiltError."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotBuiltError("there is no C compiler: `make peers` installs one")
    program = directory / "floor"
    argv = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(FLOOR), "-luring"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        why = "does not compile (liburing-dev is needed)"
        raise NotBuiltError(f"{FLOOR.name} {why}:\n{done.stderr.strip()}")
    option = int(offer().socket_options)
    line = f"{program} {{addresses}} {{port}} {{connections}} {{duration_s}}"
    # Its count is good if nothing failed.
    counted = r'"exchanges": (\d+), "failed": 0,'
    return Tool("floor", f"{line} {{closer}} {option}", f"{line} kept {option}", counted)
