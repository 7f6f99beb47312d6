"""Attacks on churn, seeded and bounded: each makes its rounds and returns the faults it found."""
