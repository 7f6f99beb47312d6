"""The summary: a sentence for every shape of an answer, prediction beside measurement, a sound document."""

import json
from typing import Any

import pytest

from loadgen.analysis.compared import Compared, compare
from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary, summarise
from loadgen.analysis.summary_document import run_verdict, summary_document
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.records.events import ProcessDied
from loadgen.records.latency import Latency
from loadgen.records.prediction import Prediction
from loadgen.records.types import Record
from loadgen.scenario.document import Variant
from loadgen.scenario.expectation import Expectation
from loadgen.tcp import Ending, State
from loadgen.text.problem import Mark
from loadgen.wire.codec import indented
from tests.made_records import NO_PORT, STEP, S, ended, interval, sample, side, variant

CLIENT = variant(connection={"closer": "client"}, load={"duration": "3s"})
SERVER = variant(connection={"closer": "server"})
DIED = ProcessDied(0, "server", "killed by SIGKILL", "")


def metrics(client: int = 0, server: int = 0, **more: float) -> dict[str, float]:
    return {
        "client.ports": 28_232,
        "opened": 1_000,
        "connected": 1_000,
        "rate.mean": 1_234.5,
        "client.time_wait.max": client,
        "server.time_wait.max": server,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


# Where a command drives

COMMANDED = variant(connection={"closer": "server"}, load={"driver": "command", "command": ["wrk"]})


def test_rows_that_rest_on_a_commands_rate_are_left_out() -> None:
    prediction = predict(situation(COMMANDED))
    rows = compare(prediction, metrics(server=10))
    assert [(row.name, row.predicted, row.measured) for row in rows] == [("TIME-WAIT, client", 0, 0)]
    client = variant(connection={"closer": "client"}, load={"driver": "command", "command": ["curl"]})
    seen = {"knee__ports": 14_000, "knee__rate_before": 9_000, "knee__rate_after": 600}
    rows = compare(predict(situation(client)), metrics(client=20_000, **seen))
    assert [(row.name, row.predicted, row.measured) for row in rows] == [
        ("TIME-WAIT, server", 0, 0),
        ("knee", 14_116, 14_000),
    ]


# Beside the prediction


def rows(prediction: Prediction, measured: dict[str, float]) -> dict[str, Compared]:
    return {row.name: row for row in compare(prediction, measured)}


def test_a_knee_is_compared_where_both_have_it() -> None:
    prediction = predict(
        situation(variant(connection={"closer": "client"}, load={"duration": "30s", "driver": "protocol"}))
    )
    measured = metrics(
        client=28_232,
        knee__ports=14_000,
        knee__time_ns=S,
        knee__rate_falls=1,
        knee__rate_before=14_116,
        knee__rate_after=600,
        exhaustion__time_ns=25 * S,
    )
    found = rows(prediction, measured)
    assert list(found) == [
        "rate before the knee",
        "TIME-WAIT, client",
        "TIME-WAIT, server",
        "knee",
        "time to the knee",
        "connect() slower by",
        "rate past the knee",
        "time to exhaustion",
    ]
    assert (found["knee"].predicted, found["knee"].measured) == (14_116, 14_000)
    assert found["knee"].error == pytest.approx(14_116 / 14_000 - 1)
    assert found["time to the knee"].measured == 1.0
    assert found["rate before the knee"].measured == 14_116
    assert found["rate past the knee"].predicted == pytest.approx(664, abs=5)
    assert found["TIME-WAIT, client"].error == 0.0
    # The knee's ports rest on nothing assumed; when it comes does.
    assert not found["knee"].assumed
    assert found["time to the knee"].assumed


def test_what_was_expected_and_not_seen_or_seen_and_not_expected_has_no_error() -> None:
    expected = predict(
        situation(variant(connection={"closer": "client"}, load={"duration": "30s", "driver": "protocol"}))
    )
    found = rows(expected, metrics(client=28_232))
    assert (found["knee"].predicted, found["knee"].measured, found["knee"].error) == (14_116, None, None)
    assert found["time to exhaustion"].measured is None
    unexpected = predict(situation(SERVER))
    found = rows(
        unexpected,
        metrics(knee__ports=50, knee__time_ns=S, knee__rate_falls=1, knee__rate_before=9, knee__rate_after=1),
    )
    assert (found["knee"].predicted, found["knee"].measured, found["knee"].error) == (None, 50, None)
    assert found["time to the knee"].predicted is None
    assert "time to exhaustion" not in found


def test_a_knee_that_a_low_rate_does_not_show_is_not_waited_for() -> None:
    slow = variant(connection={"closer": "client"}, load={"open_loop": {"rate": "500/s"}, "duration": "50s"})
    prediction = predict(situation(slow))
    assert prediction.time_to_knee_s is not None
    found = rows(prediction, metrics(client=25_000))
    assert list(found) == [
        "rate",
        "TIME-WAIT, client",
        "TIME-WAIT, server",
        "knee",
        "time to the knee",
        "connect() slower by",
    ]
    assert found["rate"].measured == 1_234.5
    assert {row.name for row in found.values() if row.assumed} == {"connect() slower by"}


def test_a_knee_by_connect_alone_is_compared_and_no_rate_past_it() -> None:
    slow = variant(connection={"closer": "client"}, load={"open_loop": {"rate": "500/s"}, "duration": "50s"})
    measured = metrics(
        client=25_000,
        knee__ports=14_200,
        knee__time_ns=28 * S,
        knee__rate_falls=0,
        knee__rate_before=500,
        knee__rate_after=500,
        connect__before_ns=10_000,
        connect__after_ns=1_210_000,
    )
    found = rows(predict(situation(slow)), measured)
    assert (found["knee"].measured, found["knee"].within) == (14_200, 0.03)
    assert found["time to the knee"].measured == 28
    assert found["time to the knee"].error == pytest.approx(0.008, abs=0.001)
    assert found["rate"].measured == 500
    assert found["connect() slower by"].measured == pytest.approx(1_200)
    assert "rate past the knee" not in found
    # Seen, and not predicted.
    found = rows(predict(situation(SERVER)), measured)
    assert (found["knee"].predicted, found["knee"].within) == (None, None)
    assert found["knee"].measured == 14_200


def test_a_rate_past_the_knee_from_the_start_is_compared_with_that() -> None:
    crowded = variant(
        lab={"client": {"ports": "32768-36767"}},
        load={"closed_loop": {"connections": 3_000}, "duration": "6s"},
    )
    prediction = predict(situation(crowded))
    found = rows(prediction, metrics(rate__past_half=9_000))
    assert "rate before the knee" not in found
    assert (found["rate past the knee"].predicted, found["rate past the knee"].measured) == (
        prediction.past_knee_per_s,
        9_000,
    )
    assert rows(prediction, metrics())["rate past the knee"].measured == 1_234.5
    # Expected before the knee, and past it all the time.
    found = rows(predict(situation(CLIENT)), metrics(rate__past_half=700))
    assert found["rate before the knee"].measured is None
    assert found["rate past the knee"].measured == 700


def test_the_mean_of_kept_connections_is_compared_with_the_mean() -> None:
    kept = variant(
        server={"delay": "1s"},
        connection={"requests": 1_000, "closer": "client"},
        load={"open_loop": {"rate": "2000/s"}, "duration": "9s"},
    )
    found = rows(predict(situation(kept)), metrics(client=2_100))
    assert found["rate"].predicted == pytest.approx(2_000 / 9, rel=0.01)
    assert found["rate"].measured == 1_234.5
    assert found["TIME-WAIT, client"].within == pytest.approx(0.01, rel=0.1)


def test_without_a_knee_the_mean_rate_counts_unless_the_ports_ran_out() -> None:
    prediction = predict(situation(CLIENT))
    assert rows(prediction, metrics())["rate before the knee"].measured == 1_234.5
    assert rows(prediction, metrics(exhaustion__time_ns=S))["rate before the knee"].measured is None


def test_a_mean_across_a_knee_too_shallow_to_find_is_not_taken_for_the_rate_before_it() -> None:
    kept = variant(
        connection={"closer": "client", "requests": 100},
        lab={"client": {"ports": "32768-34767"}},
        load={"duration": "6s"},
    )
    prediction = predict(situation(kept))
    assert prediction.time_to_knee_s is not None
    found = rows(prediction, metrics(client=2_000))
    assert found["rate before the knee"].measured is None
    assert found["knee"].measured is None


def test_where_no_knee_can_be_the_rate_is_the_mean() -> None:
    found = rows(predict(situation(SERVER)), metrics())
    assert found["rate"].measured == 1_234.5


@pytest.mark.parametrize(
    ("predicted", "measured", "error"),
    [
        (110.0, 100.0, 0.1),
        (90.0, 100.0, -0.1),
        (0, 0, 0.0),
        (5, 0, None),
        (None, 5, None),
        (5, None, None),
        (None, None, None),
    ],
)
def test_an_error_is_relative_to_what_was_measured(
    predicted: float | None, measured: float | None, error: float | None
) -> None:
    found = Compared(name="x", unit="", predicted=predicted, measured=measured, assumed=False).error
    assert found == (None if error is None else pytest.approx(error))


# A whole variant


def client_closes(interrupted: bool = False) -> list[Record | Latency]:
    """Three seconds: half of the ports fast, the others at less than half of the rate, and then none."""
    counts = [1_600] * 9 + [720] * 20 + [0]
    loads = [
        interval(
            index,
            count,
            connect_p50_ns=(15_000 if count > 720 else 600_000) if count else None,
            attempts=count or 28,
            errors={} if count else {NO_PORT: 28},
            no_port_ns=None if count else index * STEP,
        )
        for index, count in enumerate(counts)
    ]
    records: list[Record | Latency] = list(loads)
    held = 0
    for index, count in enumerate([*counts, 0]):
        client = side(
            {State.TIME_WAIT: held} if held else {}, held, counters={"ActiveOpens": held, "TW": held}
        )
        server = side({State.LISTEN: 1}, counters={"PassiveOpens": held})
        if not index:
            records.append(sample(-STEP, client, server))
        records.append(sample(index * STEP, client, server))
        held += count
    return records[:-5] if interrupted else [*records, *ended(3 * S)]


def summary_of(asked: Variant, records: list[Record | Latency]) -> VariantSummary:
    fold = Fold(28_800)
    for record in records:
        fold.add(record)
    return summarise(asked, predict(situation(asked)), fold)


def expecting(asked: Variant, *texts: str) -> Variant:
    return asked.model_copy(
        update={"expect": tuple(Expectation.parse(text, Mark("x.yaml", 1, 1)) for text in texts)}
    )


def test_a_variant_is_summed_up() -> None:
    asked = expecting(CLIENT, "client.time_wait.max > 15000", "errors.EADDRNOTAVAIL > 0")
    summary = summary_of(asked, client_closes())
    assert (summary.exact, summary.valid, summary.passed) == (True, True, True)
    assert summary.caveats == []
    assert summary.verdict == (
        "Throughput falls from 16,000/s to 7,200/s at 14,400 of 28,800 ports, and no port is left after 2.9 s"
        "; the client collects up to 28,800 TIME-WAITs, the server none"
    )


def test_one_expectation_that_fails_fails_the_variant() -> None:
    asked = expecting(
        CLIENT, "client.time_wait.max > 15000", "server.time_wait.max > 0", "connect.p99_ns > 0"
    )
    summary = summary_of(asked, client_closes())
    assert [item.passed for item in summary.expectations] == [True, False, False]
    assert not summary.passed
    assert summary.valid


def test_a_variant_cut_short_is_neither_exact_nor_valid_and_still_tells() -> None:
    for records in (client_closes(interrupted=True), []):
        summary = summary_of(CLIENT, records)
        assert (list(summary.audit), summary.exact, summary.valid) == ([], False, False)
        assert summary.verdict


def test_an_audit_that_differs_makes_the_variant_invalid() -> None:
    records = [*client_closes(), interval(30, 1, closes={Ending.SERVER_FIN: 1})]
    summary = summary_of(CLIENT, records)
    assert (summary.exact, summary.valid) == (False, False)


# A whole run


def as_json(*summaries: VariantSummary, whole: bool = True) -> dict[str, Any]:
    written = summary_document("20261120T213005Z-x", summaries, ["main"], whole=whole)
    return json.loads(indented(written), parse_constant=pytest.fail)


def nulls(value: Any) -> bool:
    match value:
        case dict():
            return any(map(nulls, value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        case list():
            return any(map(nulls, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return value is None


@pytest.mark.parametrize("records", [client_closes(), client_closes(interrupted=True), []])
@pytest.mark.parametrize("asked", [CLIENT, SERVER])
def test_the_document_is_json_without_nan_or_null(asked: Variant, records: list[Record | Latency]) -> None:
    document = as_json(summary_of(expecting(asked, "connect.p99_ns > 0"), records))
    assert not nulls(document)
    (told,) = document["variants"].values()
    assert set(told) == {
        "verdict",
        "valid",
        "passed",
        "exact",
        "metrics",
        "errors",
        "findings",
        "states",
        "audit",
        "caveats",
        "expectations",
        "compared",
    }


def test_errors_name_their_phase_and_whose_limit_they_show() -> None:
    document = as_json(summary_of(CLIENT, client_closes()))
    told = document["variants"]["main"]["errors"]
    assert [(one["phase"], one["kind"]) for one in told] == [("connect", "EADDRNOTAVAIL")]
    assert told[0]["count"] > 0
    assert "ephemeral ports" in told[0]["limit"]


def test_true_is_good() -> None:
    good = summary_of(expecting(CLIENT, "connected > 0"), client_closes())
    bad = summary_of(expecting(CLIENT, "connected == 0"), [*client_closes(), DIED])
    document = as_json(good)
    assert (document["passed"], document["valid"]) == (True, True)
    assert document["variants"]["main"]["expectations"][0]["passed"] is True
    assert all(line["exact"] for line in document["variants"]["main"]["audit"])
    # What is to come after it, or never came, may be anything.
    document = as_json(good, whole=False)
    assert (document["passed"], document["valid"]) == (True, False)
    assert document["variants"]["main"]["valid"] is True
    document = as_json(good, bad)
    assert (document["passed"], document["valid"]) == (False, False)
    told = document["variants"]["main"]
    assert (told["passed"], told["valid"], told["exact"]) == (False, False, True)
    assert told["caveats"][0]["invalidates"] is True


def test_the_run_is_one_sentence() -> None:
    good = summary_of(expecting(CLIENT, "connected > 0", "connected == 0"), client_closes())
    plainly = summary_of(CLIENT, client_closes())
    cut = summary_of(CLIENT, client_closes(interrupted=True))
    inexact = summary_of(CLIENT, [*client_closes(), interval(30, 1)])
    assert (
        run_verdict([good], ["main"], whole=True)
        == "1 of 2 expectations hold; every count agrees with the kernel's."
    )
    assert (
        run_verdict([plainly], ["main"], whole=True)
        == "Nothing was expected; every count agrees with the kernel's."
    )
    assert run_verdict([good, inexact], ["main"], whole=True) == (
        "1 of 2 expectations hold; the audit differs in main; the measurement is invalid in main."
    )
    assert run_verdict([cut], ["main", "second", "third"], whole=False) == (
        "Nothing was expected; nothing is audited in main; the measurement is invalid in main;"
        " not run: second, third; the run did not come to its end."
    )
