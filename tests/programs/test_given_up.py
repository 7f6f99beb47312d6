"""A program that gives up in SYN-SENT had no connection, though no counter of its kernel shows that."""

import json
from pathlib import Path

from tests.command import churn
from tests.peers import need

SCENARIO = """
title: t
connection: {closer: client}
load:
  driver: command
  duration: 20s
  command:
    - sh
    - -c
    - >-
      sleep 0.5;
      for number in 1 2 3; do curl -s -o /dev/null --connect-timeout 0.2 http://{host}:{port}/; done;
      sleep 1.5; exec curl -s -o /dev/null http://{host}:{port}/
variants:
  cut: {script: [{at: 0s, for: 1500ms, do: cut, on: server}]}
  syn-ack: {script: [{at: 0s, for: 1500ms, do: drop, what: syn_ack, on: server}]}
"""


def test_a_curl_that_gives_up_was_not_connected(tmp_path: Path) -> None:
    need("curl")
    path = tmp_path / "x.yaml"
    path.write_text(SCENARIO)
    done = churn("run", path, "--json", "--no-figures", runs=tmp_path / "runs")
    assert done.code == 0, done.said
    variants = json.loads(done.stdout)["variants"]
    for name, variant in variants.items():
        metrics = variant["metrics"]
        assert [line["exact"] for line in variant["audit"]] == [True, True], name
        assert (metrics["opened"], metrics["connected"], metrics["closes.client_fin"]) == (4, 1, 1), name
    # The server's kernel sends the SYN-ACK again after a second, and meets no socket any more. A SYN that
    # waited for the link address of a host whose cable is unplugged is sent once the cable is back.
    assert variants["syn-ack"]["metrics"]["server.kernel.AttemptFails"] == 3
    assert "before a SYN-ACK had reached it" in done.stderr
