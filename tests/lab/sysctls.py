"""Settings of the kernel that tests of the lab share."""

NO_ASSASSINATION = {"net.ipv4.tcp_rfc1337": "1"}
"""A TIME-WAIT stays until its time is over, whatever arrives.

By default an RST ends it early (RFC 1337). On a busy machine that happens by itself: a delayed ACK, sent by
its timer at the instant of the close, is overtaken by the FIN; TIME-WAIT answers it with an ACK of its own;
that one finds the other socket gone, and an RST comes back. Seen once in some hundreds of closes.
"""
