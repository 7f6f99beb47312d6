"""The `uring` driver: connections in batches by io_uring, and no Python for the single one that fares well.

programs  the chains of entries that a slot can be sent through
slots     what is known of every slot, as arrays
client    good ends of chains, a batch at a time; everything else goes to an attempt of its own
judge     which responses are good
connects  how long connect() takes, by one connection in a while
attempt   that attempt: one operation at a time, counted as every driver's attempts are
load      closed and open loop: which slot does what next, and how long to wait
worker    the process: the loop around it all
able      whether the driver can do what a plan asks
"""
