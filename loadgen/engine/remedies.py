"""One workload beside its remedies: a scenario with a variant for each that this machine can run."""

from collections.abc import Collection

from loadgen.engine.preflight import refused_range, refused_uring
from loadgen.lab import sysctls
from loadgen.scenario.baseline import Remedies
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.read import ONLY_VARIANT
from loadgen.scenario.remedies import CATALOGUE, NOTHING, Unfit, apply


def side_by_side(scenario: Scenario, base: Variant, only: Collection[str] = ()) -> Scenario:
    """The scenario of a workload, `base`, and its remedies, or those named in `only`.

    `remedies.left_out` has those that cannot be applied. Without claims and expectations: those of the
    workload's scenario are of other variants.
    """
    workload = base.model_copy(update={"name": NOTHING, "expect": ()})
    variants, left_out = [workload], dict[str, str]()
    for remedy in (each for each in CATALOGUE if not only or each.name in only):
        found = apply(remedy, workload)
        if isinstance(found, Unfit):
            left_out[remedy.name] = found.reason
        elif missing := _lacking(found, workload):
            left_out[remedy.name] = missing
        else:
            variants.append(found)
    return Scenario(
        title=f"{scenario.title}: {base.name}"
        if base.name not in (NOTHING, ONLY_VARIANT)
        else scenario.title,
        question="What does each remedy buy, and what does it cost?",
        variants=tuple(variants),
        remedies=Remedies(baseline=NOTHING, left_out=left_out),
    )


def _lacking(variant: Variant, workload: Variant) -> str:
    """What this kernel lacks for a remedy, in words; empty if it lacks nothing.

    Not asked of the workload's own sysctls: some of them are there in a lab only.
    """
    for name in _sysctls(variant) - _sysctls(workload):
        if not sysctls.exists(name):
            return f"this kernel has no {name}"
    alone = Scenario(title=variant.name, variants=(variant,))
    refusals = (*refused_uring(alone), *refused_range(alone))
    return "; ".join(f"{refusal.reason}; {refusal.remedy}" for refusal in refusals)


def _sysctls(variant: Variant) -> set[str]:
    asked = variant.lab.sysctl
    return {*asked.client, *asked.server, *asked.proxy, *asked.nat}
