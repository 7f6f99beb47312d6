"""Attacks on churn: what it must stand, at random and in numbers: `python -m tests.attack.NAME`."""
