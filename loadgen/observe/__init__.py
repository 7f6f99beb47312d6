"""Observation: the state of each side, sampled on one clock."""
