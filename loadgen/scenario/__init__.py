"""A scenario: the question, the variants that answer it, and how both are read from a file.

lab           the keys of `lab:`, each with its default, bounds and description
endpoints     the keys of `server:`
traffic       the keys of `connection:`, `load:` and `sample:`
script        the faults under `script:`
document      a scenario file, and the resolved `Scenario` with its `Variant`s, frozen
model         what all of these have in common
choices       the enumerations that keys offer
fields        how a field reads what a person wrote
placeholders  names in commands that are filled in, such as {url}
expectation   comparisons of metrics under `expect:`
comparisons   lists of them, as they are written and in run.json
claim         the claims under `claims:`, and the comparisons that decide them
catalogue     the texts of all claims, from `claims.toml`
merge         defaults, variants, `quick` and `--set`, merged on nodes so that problems keep their place
matrix        variants from every combination of values
wording       pydantic's errors in plain words
checks        settings that contradict each other
conflict      such a contradiction as a value
script_checks faults that contradict the lab, the load or each other
read          from a file to a `Scenario`
schema        the file as JSON Schema, and a scenario as plain data and back
"""
