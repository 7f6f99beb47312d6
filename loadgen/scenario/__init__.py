"""A scenario: the question, the variants that answer it, and how both are read from a file.

models    what a resolved scenario is, frozen; each field with its default, bounds and description
fields    how a field reads what a person wrote
merge     defaults, variants, `quick` and `--set`, merged on nodes so that problems keep their place
matrix    variants from every combination of values
wording   pydantic's errors in a person's words
checks    settings that contradict each other
read      from a file to a `Scenario`
schema    the file as JSON Schema, and a scenario as plain data and back
"""
