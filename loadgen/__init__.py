"""The load generator, the lab it runs in, and the records it leaves: churn's engine.

`tcp` is the vocabulary, `scenario` the question, `run` one answer to it; see docs/architecture.md
for the way data takes through the modules.
"""
