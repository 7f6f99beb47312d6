"""Runs whose connections end otherwise than the scenario's words: what is counted, explained, and named."""

from pathlib import Path
from typing import Any

import pytest

from tests.command import churn, document

FIRST_FIN = """
title: The server's FIN is answered by a reset
connection: {closer: server, requests: 1}
load:
  driver: command
  command: ["{python}", "{dir}/late_reader.py"]
  duration: 5s
  files:
    late_reader.py: |
      import socket, time
      for _ in range(300):
          s = socket.create_connection(("{host}", {port}))
          s.sendall(b"GET / HTTP/1.1\\r\\nHost: lab\\r\\n\\r\\n")
          s.recv(20)
          time.sleep(0.005)
          s.close()
expect: {all: [closes.server_fin == 300]}
"""

SHORT_QUEUE = """
title: A short accept queue
connection: {{requests: 1, closer: server}}
load: {{driver: {driver}, closed_loop: {{connections: 1000}}, duration: 2s}}
server: {{backlog: 16}}
lab: {{sysctl: {{server: {sysctls}}}}}
"""


def run(folder: Path, text: str) -> dict[str, Any]:
    """The only variant of a scenario, run to its end."""
    scenario = folder / "x.yaml"
    scenario.write_text(text)
    done = churn("run", scenario, "--json", "--no-figures", runs=folder / "runs")
    assert done.code == 0, done.said
    (variant,) = document(done.stdout)["variants"].values()
    return variant


def caveats(variant: dict[str, Any]) -> dict[str, str]:
    return {caveat["kind"]: caveat["cause"] for caveat in variant["caveats"]}


def test_a_fin_that_a_reset_answers_was_first(tmp_path: Path) -> None:
    variant = run(tmp_path, FIRST_FIN)
    assert variant["valid"]
    assert variant["exact"]
    assert variant["metrics"]["closes.server_fin"] == 300
    assert "the server closed first, by FIN; the client then" in caveats(variant)["ended_by_reset"]


# Not protocol: in one run of four the server's kernel counts one PassiveOpens more than there were
# connections, and nothing else for it. The ledger has no such entry.
@pytest.mark.parametrize("driver", ["uring"])
@pytest.mark.parametrize(
    ("sysctls", "named"),
    [
        ("{}", "established at the client only"),
        ("{net.ipv4.tcp_abort_on_overflow: 1}", "tcp_abort_on_overflow"),
        ("{net.ipv4.tcp_syncookies: 0}", ""),  # SYNs are dropped, and the client has established nothing.
    ],
    ids=["b16", "b16-abort", "b16-nocookies"],
)
def test_a_full_accept_queue_is_explained(tmp_path: Path, driver: str, sysctls: str, named: str) -> None:
    variant = run(tmp_path, SHORT_QUEUE.format(driver=driver, sysctls=sysctls))
    assert variant["valid"]
    assert variant["exact"]
    assert named in caveats(variant).get("never_accepted", "")
    assert "listen_overflows" in caveats(variant)
