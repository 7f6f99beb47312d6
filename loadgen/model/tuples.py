"""The tuples that a side has in TIME-WAIT if its client's ports can be used again at once. Pure."""

import math

from loadgen.model.situation import Situation, Walk

PORT_STRIDE = 4.5
"""Ports of its parity that connect() moves on by from one connection to the next, on average: it adds
1 to 8 (`__inet_hash_connect()` in net/ipv4/inet_hashtables.c). With both parities it is of all ports."""


def distinct_ports(opened: float, ports: int, walk: Walk = Walk.PARITY) -> int:
    """How many different ports `opened` connections go through when each gives its port back at once.

    This bounds a server's TIME-WAITs, because a SYN reopens a tuple that the server still has in
    TIME-WAIT (K13). Ports of one parity are all that such a client takes while one of them is free
    (K8). Each walk over them takes every `PORT_STRIDE`th, at random, and none twice.
    """
    half = ports if walk is Walk.ALL else ports / 2
    if walk is Walk.RANDOM:
        return round(half * (1 - math.exp(-opened / half)))
    walks, part = divmod(opened * PORT_STRIDE / half, 1)
    untouched = (1 - 1 / PORT_STRIDE) ** walks * (1 - part / PORT_STRIDE)
    return round(half * (1 - untouched))


def standing(situation: Situation, opened: float, held: float) -> int:
    """TIME-WAITs of a side whose ports can be used again at once. `held`: ports in use at once.

    A port that is used towards several destinations is as many tuples. Those held are ports of one parity
    before there is one of the other, and as many different tuples.
    """
    half, walk, reached = situation.half, situation.walk, situation.reached
    tuples = situation.ports * reached
    if held <= half:
        found = max(distinct_ports(opened, tuples, walk), min(held, opened))
    else:
        later = max(distinct_ports(opened * (1 - half / held), tuples, walk), held - half)
        found = half * reached + later
    return min(round(found), tuples, situation.tw_buckets)
