"""What happened in a variant, each finding with its evidence; one subject a module.

A cause is claimed only if the state that would confirm it was recorded.
"""
