"""Namespaces, links and sysctls: the place an experiment runs in.

`spec` describes a lab and `errors` why it cannot be made. `lab` opens it: the short-lived process
`build` makes it with `namespaces`, `sysctls` and `links`, hands over descriptors, and exits. Only
these descriptors, and the processes inside, keep a lab alive.
"""
