"""A scenario, resolved: frozen values with every default filled in and every variant merged.

Durations are `Duration` (integer nanoseconds), rates `Rate` (per second), sizes `ByteSize` (bytes): each
field has the name of its key, and its type carries the unit. The attribute docstrings are what
`churn schema` shows an editor.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from loadgen.scenario import fields
from loadgen.scenario.choices import MOST_ADDRESSES, Arrivals, Driver, Family, Topology
from loadgen.scenario.expectation import Expectation
from loadgen.tcp import CloseMethod, Closer
from loadgen.text.problem import Mark
from loadgen.text.units import HIGHEST_PORT, LOWEST_PORT, ByteSize, Duration, PortRange, Rate

VARIANT_NAME = r"[A-Za-z0-9][A-Za-z0-9._=,+-]{0,79}"
"""A variant names a directory of the run, so it holds nothing that a file system or a shell minds."""


class Http(StrEnum):
    """The version that requests and responses claim."""

    V1_0 = "1.0"
    V1_1 = "1.1"


STALL_NS = 1_000_000_000
"""How long a client with nothing else to do may be held up before it closes."""


class ServerKind(StrEnum):
    """What accepts the connections: churn's own protocol on uvloop, aiohttp's server, or any program."""

    PROTOCOL = "protocol"
    AIOHTTP = "aiohttp"
    COMMAND = "command"


class Model(BaseModel):
    """What all parts share: nothing changes once read, and no unknown key is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Command = tuple[Annotated[str, fields.argument()], ...]
"""A program and its arguments, as execve(2) takes them: no shell reads them."""
Files = Mapping[Annotated[str, fields.file_name()], Annotated[str, fields.file_text()]]
"""Texts of files by name."""


class LabClient(Model):
    """The client's side of the lab."""

    ports: Annotated[PortRange, fields.port_range()] = PortRange(32768, 60999)
    """The client's ephemeral ports, both ends included, such as 32768-60999 (28,232 ports)."""
    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Source addresses; each has the whole port range to itself."""


class LabServer(Model):
    """The server's side of the lab."""

    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Addresses the server listens on; ports are counted anew towards each."""


class Sysctls(Model):
    """Kernel settings of the lab's own namespaces, by dotted name. The host's are left alone."""

    client: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the client's namespace, such as net.ipv4.tcp_tw_reuse: 1."""
    server: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the server's namespace."""


class Lab(Model):
    """The namespaces and links that the experiment runs in."""

    topology: Topology = Topology.PAIR
    """pair: a namespace for each side; loopback: one for both; host: none, on the host's loopback."""
    family: Family = Family.IPV4
    """The address family of all connections."""
    client: LabClient = LabClient()
    """The client's ports and addresses."""
    server: LabServer = LabServer()
    """The server's addresses."""
    sysctl: Sysctls = Sysctls()
    """Kernel settings of each side's namespace."""


class Server(Model):
    """What accepts the connections, and how it answers."""

    kind: ServerKind = ServerKind.PROTOCOL
    """The server program."""
    port: Annotated[int, fields.count(LOWEST_PORT, HIGHEST_PORT)] = 8080
    """The port it listens on."""
    workers: Annotated[int, fields.count(1, 64)] = 1
    """Processes that accept connections."""
    pin: Annotated[bool, fields.truth()] = False
    """Whether each worker is pinned to a core of its own, from the last one on."""
    backlog: Annotated[int, fields.count(1, 65535)] = 4096
    """Connections that wait to be accepted before SYNs are dropped (listen(2))."""
    response: Annotated[ByteSize, fields.byte_size("0B", "16MiB")] = ByteSize(128)
    """Size of a response's body."""
    delay: Annotated[Duration, fields.duration("0", "1min")] = Duration(0)
    """How long the server waits before it answers."""
    idle_timeout: Annotated[Duration, fields.duration("1ms", "1h")] = Duration.parse("60s")
    """How long the server keeps a connection on which nothing happens."""
    command: Command | None = None
    """The program and its arguments, with kind: command; {port}, {dir} and others are filled in."""
    files: Files = Field(default_factory=dict[str, str])
    """Files that the command finds in its directory {dir}, by name; filled in likewise."""
    ready: Annotated[Duration, fields.duration("100ms", "20s")] = Duration.parse("5s")
    """How long the command may take until it listens on the port."""


class Connection(Model):
    """What happens on one connection, and who ends it."""

    http: Annotated[Http, WithJsonSchema({"enum": ["1.0", "1.1", 1.0, 1.1]})] = Http.V1_1
    """The HTTP version spoken."""
    requests: Annotated[int, fields.count(1, 1_000_000)] = 1
    """Exchanges on a connection before it is closed."""
    closer: Closer = Closer.SERVER
    """The side that closes first; after a FIN, the one that keeps the TIME-WAIT (K1)."""
    close: CloseMethod = CloseMethod.FIN
    """How it closes: an orderly fin, or an abortive rst, which leaves no TIME-WAIT (K4)."""
    think: Annotated[Duration, fields.duration("0", "1h")] = Duration(0)
    """Pause of the client between the exchanges of one connection."""


class ClosedLoop(Model):
    """A fixed number of connections in flight: one begins when another ends."""

    connections: Annotated[int, fields.count(1, 60_000)] = 64
    """Connections in flight at any time."""


class OpenLoop(Model):
    """Requests that arrive at a rate, whether or not earlier ones are done."""

    rate: Annotated[Rate, fields.rate("0.01/s", "1000000/s")]
    """Offered requests, such as 1000/s."""
    arrivals: Arrivals = Arrivals.CONSTANT
    """How requests arrive: evenly, or at random as from many independent users."""
    connections: Annotated[int, fields.count(1, 60_000)] = 10_000
    """Most connections that may be open at once."""
    late: Annotated[Duration, fields.duration("1us", "1min")] = Duration.parse("10ms")
    """Starts later than this make the measurement invalid: the generator could not keep up."""


class Timeouts(Model):
    """How long each phase of an attempt may take before it counts as failed."""

    connect: Annotated[Duration, fields.duration("1ms", "10min")] = Duration.parse("5s")
    """From connect() to established."""
    send: Annotated[Duration, fields.duration("1ms", "10min")] = Duration.parse("5s")
    """To hand a request to the kernel."""
    response: Annotated[Duration, fields.duration("1ms", "10min")] = Duration.parse("5s")
    """From the request to the whole response."""
    close: Annotated[Duration, fields.duration("1ms", "10min")] = Duration.parse("5s")
    """From the last response to the end of the connection."""


class Load(Model):
    """How many connections are made, how fast and for how long: exactly one loop."""

    driver: Driver = Driver.AUTO
    """The program that makes the connections."""
    workers: Annotated[int, fields.count(1, 64)] = 1
    """Processes that share the load."""
    pin: Annotated[bool, fields.truth()] = False
    """Whether each worker is pinned to a core of its own, from the first one on."""
    closed_loop: ClosedLoop | None = None
    """A fixed number of connections in flight; the default, with 64, where neither loop is named."""
    open_loop: OpenLoop | None = None
    """Requests at a rate."""
    duration: Annotated[Duration, fields.duration("100ms", "1h")] = Duration.parse("10s")
    """How long new work is begun."""
    timeouts: Timeouts = Timeouts()
    """Time limits of the phases."""
    seed: Annotated[int, fields.count(0, 2**32 - 1)] = 1
    """Seed of everything random: the same seed gives the same arrivals."""
    command: Command | None = None
    """The program and its arguments, with driver: command; {url}, {duration_s} and others are filled in."""
    files: Files = Field(default_factory=dict[str, str])
    """Files that the command finds in its directory {dir}, by name; filled in likewise."""

    @property
    def program(self) -> str:
        """The name of the command's program, as people know it; empty where there is none."""
        return self.command[0].rpartition("/")[2].strip("{}") if self.command else ""

    @property
    def loop(self) -> ClosedLoop | OpenLoop:
        """The one that is set."""
        loop = self.open_loop or self.closed_loop
        assert loop is not None  # one_loop() has seen to it
        return loop

    @model_validator(mode="before")
    @classmethod
    def default_loop(cls, data: dict[str, Any]) -> dict[str, Any]:
        if isinstance(data, dict) and not {"closed_loop", "open_loop"} & data.keys():  # pyright: ignore[reportUnnecessaryIsInstance]
            return {**data, "closed_loop": ClosedLoop()}
        return data  # whatever else was written is refused after this

    @model_validator(mode="after")
    def one_loop(self) -> Self:
        if self.open_loop and self.closed_loop:
            raise PydanticCustomError("loops", "has both closed_loop and open_loop, and needs exactly one")
        if not self.open_loop and not self.closed_loop:
            raise PydanticCustomError("loops", "has neither closed_loop nor open_loop, and needs exactly one")
        return self


class Sampling(Model):
    """How the state of both sides is observed."""

    every: Annotated[Duration, fields.duration("10ms", "1min")] = Duration.parse("100ms")
    """Time from one sample to the next."""


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
    sample: Sampling = Sampling()
    """How state is observed."""


def _expectation_to_json(expectation: Expectation) -> dict[str, str]:
    return {"text": expectation.text, "mark": str(expectation.mark)}


class Variant(Settings):
    """One configuration of a scenario, as it will run."""

    name: Annotated[str, fields.matching(VARIANT_NAME, "a name of letters, digits and . _ = , + -")]
    expect: tuple[Annotated[InstanceOf[Expectation], PlainSerializer(_expectation_to_json)], ...] = ()

    @field_validator("expect", mode="before")
    @classmethod
    def expect_from_json(cls, items: Sequence[Expectation | dict[str, str]]) -> list[Expectation]:
        """Take expectations also as `resolved` writes them."""
        return [
            item
            if isinstance(item, Expectation)
            else Expectation.parse(item["text"], Mark.parse(item["mark"]))
            for item in items
        ]

    def server_may_end(self, lasted_ns: int) -> bool:
        """Whether the server may have ended connections by itself, where the run lasted so long.

        It may as the closer, by rules of its own, or out of patience: a connection is idle for the whole
        run at most, and after its only request no longer than the client takes to close it.
        """
        idle_ns = lasted_ns if self.connection.requests > 1 else STALL_NS
        impatient = self.server.kind is ServerKind.COMMAND or self.server.idle_timeout <= idle_ns
        return self.connection.closer is Closer.SERVER or impatient


class Header(Model):
    """What a scenario is about."""

    title: Annotated[str, fields.prose(1, 200)]
    """One line that names the experiment."""
    question: Annotated[str, fields.prose(0, 2000)] = ""
    """What a run of it answers."""
    claims: tuple[
        Annotated[str, fields.matching("C[1-9][0-9]{0,3}", "the id of a claim such as C18")], ...
    ] = ()
    """Ids of the claims it puts to the test."""


class Scenario(Header):
    """A question, and the variants that answer it: at least one, their names unique."""

    variants: tuple[Variant, ...]


class Document(Header, Settings):
    """A scenario file as it is written."""

    variants: Mapping[str, Settings] = Field(default_factory=dict[str, Settings])
    """Configurations by name, each merged over the top level; without them there is one, main."""
    matrix: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict[str, tuple[Any, ...]])
    """Lists of values by dotted key (load.duration): every combination is a variant."""
    expect: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Comparisons such as server.time_wait.max == 0, by variant, or for all of them under all."""
    quick: Settings = Settings()
    """What --quick merges over every variant to show the same story sooner."""
