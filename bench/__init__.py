"""Benchmarks: churn beside other tools, in the same lab, judged by the same kernel counters, as ratios.

python -m bench        docs/bench.md says how it judges
"""
