"""All rules, by subject, and what they find."""

from loadgen.analysis.findings import (
    addresses,
    behind,
    ends,
    established,
    failures,
    leaks,
    left,
    pace,
    ports,
    queues,
    stages,
    translation,
)
from loadgen.analysis.findings.finding import Finding, Rule
from loadgen.analysis.fold import Fold

RULES: tuple[Rule, ...] = (
    *failures.RULES,
    *addresses.RULES,
    *ports.RULES,
    *behind.RULES,
    *queues.RULES,
    *translation.RULES,
    *pace.RULES,
    *stages.RULES,
    *established.RULES,
    *ends.RULES,
    *leaks.RULES,
    *left.RULES,
)


def find(fold: Fold) -> list[Finding]:
    """All findings of a variant, what matters first before the others."""
    return sorted((one for rule in RULES for one in rule(fold)), key=lambda finding: finding.rank)
