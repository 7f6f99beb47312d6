"""The drivers: what makes connections.

plan, words    what a load worker gets, and its messages; __main__: the process
lifecycle      begin, end, quiet, over: the same for every driver
admission      the arrivals of an open loop; arrivals: their schedule; timer: fine enough for it
housekeeping   deadlines and reports, at fixed instants
tally          the counts
attempt        one attempt, from connect to close, as every driver counts it
application    the seam to the protocol that is spoken; http: the one there is, of request and response
sockets        what attempts stand on
load           closed and open loop on an event loop, for two drivers:
               protocol (asyncio Protocols) and aiohttp_client (what people use; aiohttp_tap: its hooks)
uring/         connections in batches by io_uring
"""
