"""The `churn` command: what it says of itself, and its subcommands."""

import os
import sys
from io import TextIOWrapper
from typing import Any

import click

from loadgen.cli.check import check
from loadgen.cli.doctor import doctor
from loadgen.cli.exits import Exit, fail
from loadgen.cli.gallery import gallery
from loadgen.cli.plot import plot
from loadgen.cli.run import run
from loadgen.cli.schema import schema
from loadgen.cli.serve import serve

STANDARD_DESCRIPTORS = (0, 1, 2)


class Commands(click.Group):
    """The subcommands; Ctrl-C ends each in the same way."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(Exit.INTERRUPTED, "interrupted")


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="churn", prog_name="churn")
@click.pass_context
def main(context: click.Context) -> None:
    """A laboratory for TCP connection churn.

    Drives a server with short and kept connections, closed by either side, by FIN or by RST, in private
    network namespaces; records what that leaves behind in the kernel on each side; and checks its
    own counts against the kernel's.

    \b
    churn run http10 --quick                        who closes first pays: 30 s
    churn run http10 --quick --set lab.family=ipv6  the same over IPv6
    churn check my.yaml                             validate it; what to expect
    churn plot last                                 the newest run's figures again
    churn doctor                                    what this machine allows
    """
    mend_streams()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def mend_streams() -> None:
    """Make do with the standard streams that the caller left."""
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed: the next file opened would take its number. The lowest free one is this.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of few letters shows a question mark for the others.
            stream.reconfigure(errors="replace")


for command in (run, check, gallery, plot, serve, doctor, schema):
    main.add_command(command)
