"""A scenario, resolved: frozen values with every default filled in and every variant merged.

Durations are `Duration` (integer nanoseconds), rates `Rate` (per second), sizes `ByteSize` (bytes): each
field has the name of its key, and its type carries the unit. The attribute docstrings are what
`churn schema` shows an editor.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.baseline import Remedies
from loadgen.scenario.choices import Bind, Topology
from loadgen.scenario.claim import Claim, Decided
from loadgen.scenario.comparisons import Comparisons
from loadgen.scenario.endpoints import Server
from loadgen.scenario.lab import Lab
from loadgen.scenario.model import Model
from loadgen.scenario.proxy import Proxy
from loadgen.scenario.script import Script
from loadgen.scenario.traffic import Capture, Connection, Load, Sampling

VARIANT_NAME = r"[A-Za-z0-9][A-Za-z0-9._=,+-]{0,79}"
"""A variant names a directory of the run: no character that is special to a file system or a shell."""


class Settings(Model):
    """What a variant sets. At the top of a file it is every variant's default."""

    lab: Lab = Lab()
    """The lab the variant runs in."""
    server: Server = Server()
    """What accepts the connections."""
    load: Load = Load()
    """What makes them."""
    connection: Connection = Connection()
    """What happens on each of them."""
    proxy: Proxy | None = None
    """What stands between client and server, with topology: proxy."""
    sample: Sampling = Sampling()
    """How state is observed."""
    capture: Capture | None = None
    """Which packets are kept, in capture.pcapng; none without it."""
    script: Script = ()
    """Faults, each at its time and in the lab alone."""

    @property
    def destinations(self) -> int:
        """Addresses and ports that the client connects to; a proxy has one."""
        return 1 if self.lab.topology is Topology.PROXY else self.lab.server.addresses * self.server.ports

    @property
    def paths(self) -> int:
        """How often each port of the client's range is there: once for each source and destination (K7), and
        for each source alone if bind() takes the port (K10)."""
        early = self.lab.client.binds is Bind.EARLY
        return self.lab.client.addresses * (1 if early else self.destinations)

    @property
    def upstream_paths(self) -> int:
        """The same for the proxy's range: once for each of its addresses and each destination behind it."""
        return self.lab.proxy.addresses * self.lab.server.addresses * self.server.ports


class Variant(Settings):
    """One configuration of a scenario, as it will run."""

    name: Annotated[str, fields.matching(VARIANT_NAME, "a name of letters, digits and . _ = , + -")]
    expect: Comparisons = ()


class Header(Model):
    """What a scenario is about."""

    title: Annotated[str, fields.prose(1, 200)]
    """One line that names the experiment."""
    question: Annotated[str, fields.prose(0, 2000)] = ""
    """What a run of it answers."""
    remedies: Remedies | None = None
    """Which variants are remedies, for the figure that compares them."""
    alone: bool | None = None
    """Whether `churn run --all` runs nothing beside it; without it that follows from its loads."""


class Scenario(Header):
    """A question, the claims put to the test, and the variants that answer it: at least one, names unique."""

    claims: tuple[Claim, ...] = ()
    variants: tuple[Variant, ...]


class Document(Header, Settings):
    """A scenario file as it is written."""

    claims: tuple[str, ...] | Mapping[str, Decided] = ()
    """Ids of the claims it puts to the test, as a list or each with the comparisons that decide it."""
    variants: Mapping[str, Settings] = Field(default_factory=dict[str, Settings])
    """Configurations by name, each merged over the top level; without them there is one, main."""
    matrix: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict[str, tuple[Any, ...]])
    """Lists of values by dotted key (load.duration): every combination is a variant."""
    expect: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Comparisons such as server.time_wait.max == 0, by variant, or for all of them under all."""
    quick: Settings = Settings()
    """What --quick merges over every variant to show the same story sooner."""
