"""A command in place of churn's server or load worker: any program, run in the lab and seen to its end.

plan       what to run, where, and for how long
process    the command in a PID namespace of its own, so that nothing of it outlives churn
output     what it writes, kept up to a bound
__main__   the keeper: starts it, knows when it is ready, ends it, reports how it ended
"""
