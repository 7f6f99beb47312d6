"""Attacks: many hostile inputs and moments, seeded, each of which churn has to meet with one sentence."""
