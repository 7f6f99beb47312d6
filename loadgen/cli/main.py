"""The `churn` command: its help, and its subcommands."""

from pathlib import Path
from typing import Any

import click

from loadgen.cli.check import check
from loadgen.cli.claims import claims
from loadgen.cli.doctor import doctor
from loadgen.cli.endings import endings
from loadgen.cli.exits import Exit, fail
from loadgen.cli.gallery import gallery
from loadgen.cli.ladder import ladder
from loadgen.cli.metrics import metrics
from loadgen.cli.plot import plot
from loadgen.cli.remedies import remedies
from loadgen.cli.run import run
from loadgen.cli.schema import schema
from loadgen.cli.serve import serve_by_hand
from loadgen.cli.signals import ignore_signals, restore_signals
from loadgen.cli.streams import StreamError, restore_streams
from loadgen.lab.errors import BuilderKilledError


def check_working_directory() -> None:
    """Check that relative paths can be resolved: a shell can be in a directory that was deleted."""
    try:
        Path.cwd()
    except OSError as error:
        fail(Exit.USAGE, f"the working directory cannot be used: {error.strerror}; cd to one that exists")


class Commands(click.Group):
    """The subcommands. A stop signal ends each with INTERRUPTED, a stream that fails with USAGE."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `churn` as a process: its signals are handled here until it ends."""
        try:
            restore_signals()
            return self.main(*args, **kwargs)
        except KeyboardInterrupt:  # before the command began, or after it
            fail(Exit.INTERRUPTED, "interrupted")
        finally:
            ignore_signals()

    def main(self, *args: Any, **kwargs: Any) -> Any:
        restore_streams()
        try:
            return super().main(*args, **kwargs)
        except StreamError as error:
            fail(Exit.USAGE, str(error))

    def invoke(self, ctx: click.Context) -> Any:
        check_working_directory()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(Exit.INTERRUPTED, "interrupted")
        except BuilderKilledError as error:  # while the machine was checked
            fail(Exit.INVALID, str(error))


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
    churn remedies http10 --quick                   and what is done about it
    churn check my.yaml                             validate it, predict the result
    churn plot last                                 the newest run's figures again
    churn doctor                                    what this machine allows
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    run,
    remedies,
    check,
    gallery,
    plot,
    ladder,
    claims,
    serve_by_hand,
    doctor,
    schema,
    metrics,
    endings,
):
    main.add_command(command)
