"""Observation: the state of each viewpoint, sampled on one clock."""
