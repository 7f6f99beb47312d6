"""The `churn` command: what it says of itself, and its subcommands."""

import click

from loadgen.cli.check import check
from loadgen.cli.doctor import doctor
from loadgen.cli.gallery import gallery
from loadgen.cli.plot import plot
from loadgen.cli.run import run
from loadgen.cli.schema import schema
from loadgen.cli.serve import serve

EXAMPLES = """\b
Examples:
  churn run http10 --quick                    who closes first pays: 4 variants in half a minute
  churn run http10 --set load.duration=10s    the same in full, shorter
  churn check my.yaml                         validate a scenario, print what should happen
  churn plot last                             draw the newest run's figures again
  churn doctor                                what this machine allows, and how to allow more
"""


@click.group(
    epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="churn", prog_name="churn")
def main() -> None:
    """A laboratory for TCP connection churn.

    Drives a server with short and kept connections, closed by either side, by FIN or by RST, in private
    network namespaces; records what that leaves behind in the kernel on each side; and checks its
    own counts against the kernel's.
    """


for command in (run, check, gallery, plot, serve, doctor, schema):
    main.add_command(command)
