"""Attacks on churn: many hostile inputs and moments, seeded and bounded. Each reports the faults it found."""
