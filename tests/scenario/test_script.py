"""Scripts that cannot be: each error at its place, with what to do."""

from collections.abc import Callable

import pytest

from loadgen.scenario.document import Scenario
from loadgen.scenario.schema import resolved, restore
from tests.scenario.test_scenario import Read, problems, read

__all__ = ["read"]

HEAD = "title: t\nload: {duration: 4s}\nscript:\n"
COMMAND = 'title: t\nload: {duration: 4s, driver: command, command: [sleep, "9"]}\nscript:\n'
LOOPBACK = "title: t\nlab: {topology: loopback}\nload: {duration: 4s}\nscript:\n"


@pytest.mark.parametrize(
    ("head", "faults", "expected"),
    [
        (HEAD, "  - {at: 1s, for: 1s, do: cut, on: proxy}", "script.0.on: expected client or server"),
        (HEAD, "  - {at: 1s, for: 1s, do: cutt, on: client}", "script.0.do: expected cut or"),
        (
            HEAD,
            "  - {at: 1s, for: 1s, du: cut, on: client}",
            "4:23: script.0.du: unknown key (known here: at, for,",
        ),
        (HEAD, "  - {for: 1s, do: cut, on: client}", "4:5: script.0.at: is required"),
        (HEAD, "  - {at: 4s, do: cut, on: client}", "4:10: script.0.at: 4s is not within the load of 4s"),
        (HEAD, "  - {at: 3s, for: 2s, do: cut, on: client}", "4:19: script.0.for: it would end at 5s"),
        (
            HEAD,
            "  - {at: 1s, do: pause, on: server}",
            "4:18: script.0.do: pause needs an end (write for: 2s)",
        ),
        (
            HEAD,
            "  - {at: 1s, for: 1s, do: kill, on: server}",
            "4:19: script.0.for: a process that was killed",
        ),
        (HEAD, "  - {at: 1s, do: restart, on: client}", "4:18: script.0.do: a load cannot be started again"),
        (HEAD, "  - {at: 1s, do: kill, on: client}", "4:18: script.0.do: a load worker that is killed takes"),
        (
            HEAD,
            "  - {at: 1s, do: sysctl, on: client}",
            "4:18: script.0.do: sysctl is to be set, and no value",
        ),
        (
            HEAD,
            "  - {at: 1s, do: cut, on: client, signal: TERM}",
            "4:43: script.0.signal: has no meaning with do: cut",
        ),
        (
            HEAD,
            "  - {at: 1s, do: cut, on: client, sysctl: {net.ipv4.tcp_tw_reuse: 1}}",
            "4:43: script.0.sysctl: has no meaning with do: cut",
        ),
        (
            HEAD,
            "  - {at: 1s, do: sysctl, on: client, sysctl: {vm.overcommit: 1}}",
            "4:47: script.0.sysctl.vm.overcommit: expected a sysctl of the network namespace",
        ),
        (
            LOOPBACK,
            "  - {at: 1s, for: 1s, do: cut, on: client}",
            "script.0.do: topology loopback has no link",
        ),
        (
            HEAD,
            "  - {at: 1s, for: 1s, do: pause, on: server}\n  - {at: 1500ms, do: kill, on: server}",
            "5:10: script.1.at: kill on the server begins while pause (entry 1) acts there",
        ),
        (
            HEAD,
            "  - {at: 1s, do: cut, on: server}\n  - {at: 3s, for: 1s, do: cut, on: server}",
            "5:10: script.1.at: cut on the server begins while cut (entry 1) acts there: the link is down",
        ),
        (
            HEAD,
            "  - {at: 1s, for: 2s, do: crash, on: server}\n  - {at: 2s, for: 1s, do: crash, on: server}",
            "5:10: script.1.at: crash on the server begins while crash (entry 1) acts there: the side",
        ),
        (
            LOOPBACK,
            "  - {at: 1s, do: crash, on: server}",
            "script.0.do: topology loopback has no link between the sides that one of them could leave",
        ),
        (HEAD, "  - {at: 1s, do: crash, on: client}", "4:18: script.0.do: a load worker that crashes takes"),
        (
            COMMAND,
            "  - {at: 1s, for: 1s, do: crash, on: client}",
            "4:19: script.0.for: a client that has crashed is not started again",
        ),
        (
            HEAD,
            "  - {at: 1s, do: sysctl, on: server, sysctl: {net.ipv4.tcp_tw_reuse: 1}}\n"
            "  - {at: 3s, do: sysctl, on: server, sysctl: {net.ipv4.tcp_tw_reuse: 0}}",
            "5:10: script.1.at: sysctl on the server begins while sysctl (entry 1) acts there: both set",
        ),
        (HEAD, "  - {at: 1s, do: drop, on: server}", "4:18: script.0.do: it is not said which segments"),
        (HEAD, "  - {at: 1s, do: drop, what: fine, on: server}", "4:30: script.0.what: expected fin or"),
        (
            HEAD,
            "  - {at: 1s, do: cut, what: fin, on: server}",
            "4:29: script.0.what: has no meaning with do: cut",
        ),
        (HEAD, "  - {at: 1s, do: delay, on: server}", "4:18: script.0.do: it is not said how long"),
        (HEAD, "  - {at: 1s, do: cut, by: 1s, on: server}", "4:27: script.0.by: has no meaning with do: cut"),
        (HEAD, "  - {at: 1s, do: delay, by: 11s, on: server}", "script.0.by: expected a duration"),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: syn_ack, on: client}",
            "script.0.on: a client sends no SYN-ACK (write on: server)",
        ),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: last_ack, on: client}",
            "script.0.on: the server closes first, and so the last ACK is sent by the server",
        ),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: last_ack, on: client}\nconnection: {closer: nobody}",
            "script.0.what: no side closes, and a last ACK follows two FINs",
        ),
        (
            LOOPBACK,
            "  - {at: 1s, do: delay, by: 50ms, on: client}",
            "script.0.do: topology loopback has no link on which one side alone could be delayed",
        ),
        (
            LOOPBACK.replace("loopback", "host"),
            "  - {at: 1s, do: drop, what: fin, on: client}",
            "script.0.do: the host topology has no namespace",
        ),
        (
            HEAD,
            "  - {at: 1s, do: cut, on: server}\n  - {at: 2s, do: drop, what: fin, on: client}",
            "5:10: script.1.at: drop on the client begins while cut (entry 1) acts on the server: no segment",
        ),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: all, on: server}\n  - {at: 2s, do: drop, what: fin, on: server}",
            "5:10: script.1.at: drop on the server begins while drop (entry 1) acts there: all segments",
        ),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: fin, on: client}\n"
            "  - {at: 2s, do: drop, what: last_ack, on: server}",
            "5:10: script.1.at: drop on the server begins while drop (entry 1) acts on the client: a last",
        ),
        (
            HEAD,
            "  - {at: 1s, do: delay, by: 1ms, on: client}\n  - {at: 2s, do: delay, by: 2ms, on: client}",
            "5:10: script.1.at: delay on the client begins while delay (entry 1) acts there: the link has",
        ),
    ],
)
def test_a_script_that_cannot_be_is_an_error_at_its_place(
    read: Read, head: str, faults: str, expected: str
) -> None:
    found = problems(read, head + faults)
    assert [one for one in found if expected in one], found


@pytest.mark.parametrize(
    ("head", "faults"),
    [
        # One after another, on different sides, and a kill of a program that is not churn's.
        (HEAD, "  - {at: 1s, for: 1s, do: cut, on: server}\n  - {at: 2s, for: 1s, do: cut, on: server}"),
        (HEAD, "  - {at: 1s, for: 1s, do: pause, on: server}\n  - {at: 1s, for: 1s, do: pause, on: client}"),
        (HEAD, "  - {at: 1s, for: 1s, do: pause, on: server}\n  - {at: 1s, for: 1s, do: cut, on: server}"),
        (HEAD, "  - {at: 1s, do: restart, on: server}\n  - {at: 2s, do: restart, on: server}"),
        (COMMAND, "  - {at: 1s, do: kill, on: client}"),
        (COMMAND, "  - {at: 1s, do: crash, on: client}\n  - {at: 1s, for: 1s, do: crash, on: server}"),
        (
            HEAD,
            "  - {at: 1s, do: drop, what: fin, on: client}\n  - {at: 1s, do: drop, what: rst, on: client}",
        ),
        (HEAD, "  - {at: 1s, do: delay, by: 1ms, on: client}\n  - {at: 1s, do: delay, by: 2ms, on: server}"),
        (HEAD, "  - {at: 1s, for: 1s, do: drop, what: last_ack, on: server}"),
        (
            HEAD,
            "  - {at: 1s, for: 1s, do: drop, what: last_ack, on: server}\nconnection: {closer: both}",
        ),
        (LOOPBACK, "  - {at: 1s, do: drop, what: all, on: client}"),
    ],
)
def test_faults_that_do_not_meet_are_taken_and_kept_in_records(
    read: Callable[..., Scenario], head: str, faults: str
) -> None:
    scenario = read(head + faults)
    assert restore(resolved(scenario)) == scenario


def test_quick_leaves_the_time_that_a_script_needs(read: Callable[..., Scenario]) -> None:
    text = "title: t\nload: {duration: 30s}\nscript: [{at: 20s, for: 1s, do: cut, on: client}]\n"
    (variant,) = read(text, quick=True).variants
    assert variant.load.duration.seconds == 30
