"""The `uring` driver: connections in batches by io_uring. A successful connection runs no Python of its own.

program      which programs there are: chains of entries of the ring
entries      single entries, and the memory that they point to
programs     the programs of one plan, filled in once for every slot
slots        what is known of every slot, as arrays
connections  what a load asks of the client
load         closed and open loop: what each slot does next, and how long to wait
slot_client  the slots and the ring, which batches and the slow path share
attempt      an attempt on the slow path: one operation at a time, counted as every driver's attempts are
slow_path    which connections are on the slow path, and how they come onto it
judge        which responses are good
connects     how long connect() takes, by one connection in a while
completions  what comes back from the ring, by the batch
client       connections in batches: what the load asks for
worker       the process: one turn after the other
able         whether the driver can do what a plan asks
"""
