"""Namespaces, links and sysctls: the place an experiment runs in.

`spec` says what is wanted and `errors` why it cannot be had. `lab` opens it: the short-lived process
`build` makes it with `namespaces`, `sysctls` and `links`, hands over descriptors, and is gone. Only
these descriptors, and the processes inside, keep a lab alive.
"""
