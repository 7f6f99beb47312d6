"""All rules, by subject, and the caveats that they find."""

from loadgen.analysis.caveats import (
    audit,
    binding,
    capture,
    closes,
    gaps,
    generator,
    kernel_queues,
    lab,
    ports,
    processes,
    program,
    records,
    sampler,
    script,
    server,
)
from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat

RULES: tuple[Rule, ...] = (
    *records.RULES,
    *processes.RULES,
    *program.RULES,
    *script.RULES,
    *audit.RULES,
    *closes.RULES,
    *lab.RULES,
    *ports.RULES,
    *binding.RULES,
    *server.RULES,
    *generator.RULES,
    *gaps.RULES,
    *sampler.RULES,
    *capture.RULES,
    *kernel_queues.RULES,
)
"""In the order in which their caveats are shown."""


def find_caveats(case: Case) -> list[Caveat]:
    """All caveats of a variant, those that invalidate its result first."""
    found = [caveat for rule in RULES for caveat in rule(case)]
    return sorted(found, key=lambda caveat: not caveat.invalidates)
