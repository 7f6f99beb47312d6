"""Benchmarks: churn beside other tools, in the same lab, judged by the same kernel counters, as ratios.

    python -m bench

Every tool gets a fresh pair lab, a server on the last core and itself on the first. The server's
kernel counts for all of them. Tools take turns within a round, so that a slow spell of the machine
meets them all; ratios are taken within rounds.
"""
