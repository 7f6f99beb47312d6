"""The client's ports in a variant's lab: which of them are counted, and how often each is there."""

from dataclasses import replace

from msgspec import structs

from loadgen.lab.spec import LabSpec
from loadgen.scenario.choices import Bind
from loadgen.scenario.document import Variant


def with_client_ports(spec: LabSpec, variant: Variant) -> LabSpec:
    """The lab, with the client's viewpoint as its sockets are to take their ports."""
    client, opener = variant.lab.client, spec.scope.leg.opener
    viewpoints = tuple(
        structs.replace(
            one,
            ports=(client.range.first, client.range.last),
            paths=variant.paths,
            exclusive=client.binds is Bind.EARLY,
        )
        if one.name == opener
        else one
        for one in spec.scope.viewpoints
    )
    return replace(spec, scope=structs.replace(spec.scope, viewpoints=viewpoints))
