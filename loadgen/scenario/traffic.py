"""The keys of `connection:`, `load:`, `sample:` and `capture:`: what happens on a connection, how many there
are, and what of it is recorded.
"""

from typing import Annotated, Any, Self

from pydantic import Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from loadgen.scenario import fields
from loadgen.scenario.choices import ApplicationProtocol, Arrivals, Driver, Http, Read
from loadgen.scenario.keepalive import Keepalive
from loadgen.scenario.model import Command, Files, Model, Needs
from loadgen.scenario.stages import Stages, completed, in_words
from loadgen.tcp import Close, Closer, Ending, How, Side
from loadgen.text.units import ByteSize, Duration, Rate


class Connection(Model):
    """What happens on one connection, and who ends it."""

    protocol: ApplicationProtocol = ApplicationProtocol.HTTP
    """What is spoken: HTTP, or raw TCP: requests and responses of fixed sizes, without headers."""
    request: Annotated[ByteSize, fields.byte_size("1B", "128KiB")] = ByteSize(64)
    """Size of a request, with protocol: raw; beyond 4KiB with close: unsent by the client alone."""
    http: Annotated[Http, WithJsonSchema({"enum": ["1.0", "1.1", 1.0, 1.1]})] = Http.V1_1
    """The HTTP version spoken."""
    requests: Annotated[int, fields.count(1, 1_000_000)] = 1
    """Exchanges on a connection before it is closed."""
    closer: Closer = Closer.SERVER
    """The side that closes first; after a FIN, the one that keeps the TIME-WAIT (K1). both: their FINs cross;
    nobody: connections stay open until the load ends, and the client closes them then."""
    close: Close = Close.FIN
    """How it closes: an orderly fin; an abortive rst, which leaves no TIME-WAIT (K4); half: a FIN, and it
    reads on; unread, unsent: close() with bytes in the receive queue or the send queue."""
    linger: Annotated[Duration, fields.duration("0", "1min")] | None = None
    """SO_LINGER {on, n} of the closer, n whole seconds: how long close() may wait for its data and its FIN
    to be acknowledged. 0, with close: unsent, drops what is unsent, and resets."""
    read: Read = Read.ALL
    """What the client reads of a response before it closes: all, its headers, or none of it."""
    think: Annotated[Duration, fields.duration("0", "1h")] = Duration(0)
    """Pause of the client between the exchanges of one connection."""
    look: Annotated[bool, fields.truth()] = True
    """Whether the client looks for the server's FIN before it writes on a kept connection."""
    retry: Annotated[int, fields.count(0, 1)] = 0
    """Tries again, on a new connection, of a request whose kept connection ended before a byte came back."""
    keepalive: Keepalive | None = None
    """TCP keepalive on the sockets of either side."""

    @property
    def ending(self) -> Ending:
        """How it is to end: `closer`, `close` and `linger` together."""
        if self.closer is Closer.BOTH:
            return Ending.BOTH_FIN
        drops = self.close is Close.UNSENT and self.linger == 0
        side = Side.SERVER if self.closer is Closer.SERVER else Side.CLIENT
        return Ending.of(side, How.RST if drops or self.leaves_unread else self.close.how)

    @property
    def leaves_unread(self) -> bool:
        """Whether its closer leaves bytes in the receive queue, which resets the connection (K4)."""
        return self.close is Close.UNREAD or self.read is not Read.ALL

    @property
    def last_unanswered(self) -> bool:
        """Whether no client gets the whole response to the last request of its connection."""
        return self.leaves_unread or (self.close is Close.UNSENT and self.closer is Closer.CLIENT)

    def ending_by(self, side: Side) -> Ending:
        """How it is to end, as the plan of a side has it: if both close, each closes first."""
        return Ending.of(side, How.FIN) if self.closer is Closer.BOTH else self.ending

    @property
    def linger_s(self) -> int | None:
        return None if self.linger is None else self.linger // 1_000_000_000

    @property
    def way(self) -> str:
        """The keys that say how a connection is closed, as a scenario has them."""
        if self.closer in (Closer.BOTH, Closer.NOBODY):
            return f"`closer: {self.closer}`"
        return f"`close: {self.close}`" + ("" if self.linger is None else " with `linger`")

    @property
    def client_takes_part(self) -> bool:
        """Whether the client does more than what a FIN or a RST takes."""
        if self.closer in (Closer.BOTH, Closer.NOBODY):
            return True
        if self.closer is Closer.SERVER:
            return self.close in (Close.HALF, Close.UNSENT)
        return self.close not in (Close.FIN, Close.RST) or self.linger is not None


class ClosedLoop(Model):
    """A fixed number of connections in flight: one begins when another ends."""

    connections: Annotated[int, fields.count(1, 60_000)] = 64
    """Connections in flight at any time."""


class OpenLoop(Model):
    """Requests that arrive at a rate, whether or not earlier ones are done."""

    rate: Annotated[Rate, fields.rate("0.01/s", "1000000/s")]
    """Offered requests, such as 1000/s."""
    arrivals: Arrivals = Arrivals.CONSTANT
    """How requests arrive: evenly; at random, as from many independent users; or several at one instant."""
    burst: Annotated[int, fields.count(2, 60_000)] | None = None
    """With arrivals: bursts, how many arrive at one instant."""
    connections: Annotated[int, fields.count(1, 60_000)] = 10_000
    """Most connections that may be open at once."""
    late: Annotated[Duration, fields.duration("1us", "1min")] = Duration.parse("10ms")
    """Starts later than this make the measurement invalid: the generator could not keep up."""

    @property
    def at_once(self) -> int:
        """Requests that arrive at one instant; 1 without bursts."""
        return self.burst or 1

    @property
    def words(self) -> str:
        """What it offers, in words."""
        return f"{self.rate} in bursts of {self.burst}" if self.burst else f"{self.rate} {self.arrivals}"


class Pool(Model):
    """The idle connections that the client keeps, as pools of HTTP clients do."""

    idle: Annotated[int, fields.count(1, 60_000)]
    """Most idle connections kept: one that becomes idle beyond them is closed by the client."""


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
    """A fixed number of connections in flight; the default, with 64, if neither loop is named."""
    open_loop: OpenLoop | None = None
    """Requests at a rate."""
    pool: Pool | None = None
    """The idle connections of an open loop that are kept; without it, all are."""
    stages: Stages = ()
    """Rates, or numbers in flight, one after the other, in place of a single one and of duration."""
    duration: Annotated[Duration, fields.duration("100ms", "1h")] = Duration.parse("10s")
    """How long new work is begun."""
    timeouts: Timeouts = Timeouts()
    """Time limits of the phases."""
    seed: Annotated[int, fields.count(0, 2**32 - 1)] = 1
    """Seed of everything random: the same seed gives the same arrivals."""
    command: Command | None = None
    """The program and its arguments, with driver: command; {url}, {duration_s} and others are filled in."""
    needs: Needs | None = None
    """Programs that the command starts, and modules of {python} (python:NAME): refused if one is missing."""
    files: Files = Field(default_factory=dict[str, str])
    """Files that the command finds in its directory {dir}, by name; filled in likewise."""
    expect_status: Annotated[int, fields.count(-64, 255)] = 0
    """The command's exit status, or minus the number of the signal that ends it; another is an error."""

    @property
    def program(self) -> str:
        """The name of the command's program, as people know it; empty without a command."""
        return self.command[0].rpartition("/")[2].strip("{}") if self.command else ""

    @property
    def staged(self) -> str:
        """What its stages offer, in words; empty without stages."""
        return in_words(self.stages)

    @property
    def loop(self) -> ClosedLoop | OpenLoop:
        """The one that is set."""
        loop = self.open_loop or self.closed_loop
        assert loop is not None  # one_loop() has checked it
        return loop

    @model_validator(mode="before")
    @classmethod
    def default_loop(cls, data: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(data, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            return data  # it is refused by the validation that follows
        found = completed(data)
        return {**found} if {"closed_loop", "open_loop"} & found.keys() else {**found, "closed_loop": {}}

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


class Capture(Model):
    """The packets that are kept."""

    connections: Annotated[int, fields.count(1, 100)]
    """How many connections, the first ones of the variant, have their packets kept at both sides."""
