"""What is measured: the studies of `studies.toml`, and the loads of `loads.yaml` that they use. Pure."""

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from loadgen.scenario.document import Variant
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Closer

LOADS = Path(__file__).with_name("loads.yaml")
SECOND_NS = 1_000_000_000
PORTS = (32768, 60999)
"""The client's, unless the load says otherwise: Linux's default range."""
SERVERS = ("nginx", "churn")
"""churn stands for the bundled server: asyncio Protocols on uvloop."""
STEADY, QUICK = (0.5, 1.2), (0.2, 0.6)


class Section(StrEnum):
    """A part of the bench: what `--only` can choose."""

    STARTUP = "startup"
    SAMPLER = "sampler"
    HELD = "held"
    CAPTURE = "capture"
    SHORT = "short"
    KEPT = "kept"
    SIZES = "sizes"
    SCALING = "scaling"
    PUNCTUALITY = "punctuality"


def variant(name: str, *settings: str) -> Variant:
    """A load, with these settings in place of its own, as `churn run --set` takes them (`load.workers=2`)."""
    (found,) = load_scenario(LOADS, overrides=settings, variants=[name]).variants
    return found


def is_short(load: Variant) -> bool:
    """Whether each connection has one exchange."""
    return load.connection.requests == 1


def client_closes(load: Variant) -> bool:
    """Whether the client closes short connections first."""
    return is_short(load) and load.connection.closer is Closer.CLIENT


@dataclass(frozen=True, slots=True)
class Population:
    """TIME-WAITs on the client's side, made before the load begins.

    On the `same_path` they take ports from the load that is measured. Those towards another port of the
    server only fill the kernel's tables; they take as many addresses as their number needs (K7).
    """

    count: int
    same_path: bool = False

    @property
    def lab(self) -> str:
        """The setting of a load that has them."""
        addresses = -(-self.count // (PORTS[1] - PORTS[0] + 1))
        return f"lab.server.addresses={1 if self.same_path else max(1, addresses)}"


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement of each tool: under which load, on which server, and when to look.

    `title` heads its table; `x` is the number that a study goes through, None if there is none; `window` is
    how many seconds after the first connection, and for how many; `tools` narrows who is measured.
    """

    section: Section
    title: str
    load: Variant
    window: tuple[float, float]
    server: str = "nginx"
    x: int | None = None
    held: Population | None = None
    tools: Collection[str] | None = None

    def __str__(self) -> str:
        return self.title if self.x is None else f"{self.title}: {self.x:,}"


@dataclass(frozen=True, slots=True)
class Study:
    """Cases that differ in one setting, or in the TIME-WAITs that the client holds; the file says how."""

    section: Section
    title: str
    load: str
    setting: str = ""
    values: tuple[int, ...] = ()
    tools: tuple[str, ...] | None = None
    window: tuple[float, float] | None = None
    same_path: bool | None = None

    def cases(self, quick: bool) -> Iterator[Case]:
        settings = () if self.window else (f"load.duration={1 if quick else 2}s",)
        window = self.window or (QUICK if quick else STEADY)
        if not self.values:
            for server in SERVERS:
                load = variant(self.load, *settings)
                yield Case(self.section, f"{server}, {self.title}", load, window, server)
        for x in self.values[:2] if quick else self.values:
            held = None if self.same_path is None else Population(x, self.same_path)
            load = variant(self.load, *settings, held.lab if held else self.setting.format(x))
            yield Case(self.section, self.title, load, window, x=x, held=held, tools=self.tools)


_FILE = tomllib.loads(Path(__file__).with_name("studies.toml").read_text())
STUDIES = msgspec.convert(_FILE["study"], tuple[Study, ...])
