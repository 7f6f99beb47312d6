"""`churn serve`: one of the bundled servers, by hand."""

import asyncio

import click

from loadgen.cli.exits import Exit, echo, fail
from loadgen.cli.signals import stop_handler
from loadgen.scenario.choices import MOST_PORTS
from loadgen.tcp import Ending, How, Side


class _Unit(click.ParamType[int]):
    """An option written as scenarios write it: `30s`, `1KiB`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from loadgen.text.units import ByteSize, Duration, UnitError

        kind = Duration if self.name == "duration" else ByteSize
        try:
            return kind.parse(str(value))
        except UnitError as error:
            self.fail(error.message, param, ctx)


@click.command("serve")
@click.option(
    "--kind", type=click.Choice(["protocol", "aiohttp", "raw"]), default="protocol", show_default=True
)
@click.option("--host", "hosts", multiple=True, default=["127.0.0.1"], show_default=True, help="Repeatable.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one."
)
@click.option(
    "--ports",
    type=click.IntRange(1, MOST_PORTS),
    default=1,
    show_default=True,
    help="In a row, from --port on.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--backlog", type=click.IntRange(1, 65535), default=4096, show_default=True)
@click.option(
    "--closer",
    # By value, as scenarios write them: of an enum click would take the names.
    type=click.Choice([side.value for side in Side]),
    default=Side.SERVER.value,
    show_default=True,
    help="Who closes first.",
)
@click.option(
    "--close",
    type=click.Choice([how.value for how in How]),
    default=How.FIN.value,
    show_default=True,
    help="How.",
)
@click.option(
    "--requests", type=click.IntRange(1), default=1, show_default=True, help="Exchanges on a connection."
)
@click.option("--response", type=_Unit("size"), default="128B", show_default=True, help="Body of a response.")
@click.option("--request", type=_Unit("size"), help="A whole request, with --kind raw.  [default: 64B]")
@click.option(
    "--delay", type=_Unit("duration"), default="0s", show_default=True, help="Before each response."
)
@click.option("--idle-timeout", type=_Unit("duration"), default="60s", show_default=True)
def serve_by_hand(
    kind: str,
    hosts: tuple[str, ...],
    port: int,
    ports: int,
    workers: int,
    backlog: int,
    closer: str,
    close: str,
    requests: int,
    response: int,
    request: int | None,
    delay: int,
    idle_timeout: int,
) -> None:
    """Serve HTTP or raw TCP with a given way of closing, until Ctrl-C. Prints JSON lines, the totals last."""
    import uvloop

    from loadgen.engine.child import ChildDiedError
    from loadgen.engine.serve import Line, serve
    from loadgen.wire.codec import encode
    from servers.behaviour import Behaviour
    from servers.plan import Kind, Plan

    if request is not None and kind != Kind.RAW:
        fail(Exit.USAGE, "--request is for --kind raw: a request of HTTP has no fixed size")
    try:
        ending = Ending.of(Side(closer), How(close))
        behaviour = Behaviour(
            ending, requests, delay, idle_timeout, response, 64 if request is None else request
        )
        plan = Plan(Kind(kind), behaviour, hosts, port, backlog, ports=ports)
    except ValueError as error:
        fail(Exit.USAGE, str(error))

    def echo_line(line: Line) -> None:
        click.echo(encode(line))

    def echo_stderr(text: str) -> None:
        if text:
            echo(text, err=True)

    async def go() -> bool:
        stop = asyncio.Event()
        with stop_handler(stop.set):
            return await serve(plan.divided(workers), echo_line, echo_stderr, stop)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            in_order = runner.run(go())
    except ChildDiedError as death:
        # It prints its own name before the problem.
        problem = death.stderr.removeprefix("servers: ")
        fail(*((Exit.USAGE, problem) if death.code == Exit.USAGE else (Exit.BUG, str(death))))
    if not in_order:
        fail(Exit.BUG, "all workers have failed; their messages are above")
