"""Caveats about the server: it used all of its cores, or did not accept connections."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.caveats.core_use import command_use, core_use, shared_cores
from loadgen.analysis.explanation import stories
from loadgen.ledger.entry import Kind
from loadgen.tcp import Side

SERVER_SATURATED = CaveatKind("server_saturated")


def server_saturated(case: Case) -> Iterator[Caveat]:
    if cause := command_use(case, Side.SERVER):
        remedy = "let it use more threads or processes if the machine has cores: server.command"
        yield Caveat(SERVER_SATURATED, cause, remedy)
    use = core_use(case, Side.SERVER)
    if use and use.saturated:
        limit = (
            "responses wait for it, and not for the generator"
            if case.variant.load.open_loop
            else "it limits the rate"
        )
        yield Caveat(
            SERVER_SATURATED,
            f"{use}: {limit}{shared_cores(case)}",
            "raise server.workers if the machine has cores",
        )


NEVER_ACCEPTED = CaveatKind("never_accepted")


def never_accepted(case: Case) -> Iterator[Caveat]:
    unaccepted = case.explained_as(Kind.NOT_ACCEPTED)
    if unaccepted:
        command = case.variant.server.command
        backlog = "the backlog that the server's command asks for" if command else "server.backlog"
        yield Caveat(
            NEVER_ACCEPTED,
            stories(unaccepted),
            f"raise {backlog}; until then, use the number of connections that the server accepted"
            " (server.kernel.PassiveOpens)",
        )


RULES: tuple[Rule, ...] = (server_saturated, never_accepted)
