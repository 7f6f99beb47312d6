"""Caveats: what limits or invalidates a variant's result, with cause and remedy. One subject a module.

caveat.py      the type
case.py        what every caveat is decided from
rules.py       the list of all functions that decide one, and the call of them all
the others     the functions of one subject, each below the kind of caveat that it yields

Pure. A caveat that changes the answer to the question invalidates the result; one that only limits what may
be concluded from it does not. A new caveat is a kind, a function and an entry in `RULES`, all in one module.
"""
