"""What the client's pool closes is what the scenario asked for, whoever is the closer of the rest."""

import pytest

from loadgen.analysis.caveats.closes import CLOSER_DIFFERS
from loadgen.tcp import Ending
from tests.analysis.test_caveats import kinds
from tests.made_records import ended, interval, sample, variant

S = 1_000_000_000


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize(("pooled", "differs"), [(80, False), (40, True), (0, True)])
def test_connections_without_a_place_in_the_pool_end_early_and_by_the_client(
    closer: str, pooled: int, differs: bool
) -> None:
    loop = {"rate": "100/s", "arrivals": "bursts", "burst": 10}
    asked = variant(
        connection={"closer": closer, "requests": 50}, load={"open_loop": loop, "pool": {"idle": 2}}
    )
    loads = [
        interval(
            index,
            8,
            exchanges=10,
            closes={Ending.CLIENT_FIN: 8},
            pool_closed=pooled // 10,
            pool_idle=2,
        )
        for index in range(10)
    ]
    records = [sample(0), *loads, sample(S), *ended(S)]
    assert (CLOSER_DIFFERS in kinds(records, asked)) == differs
