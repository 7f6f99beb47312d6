"""What an errno means to a client, and the failure that it is."""

import errno

from loadgen.drivers.sockets import CLIENT_RST
from loadgen.tcp import Failure, Fault, Phase

PEER_RESET = frozenset({errno.ECONNRESET, errno.EPIPE})
"""What a socket answers once its peer has reset it: to a read, and to a later write."""
NO_SYN = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ENETUNREACH, errno.EACCES, errno.EPERM})
"""What connect() answers if it has sent nothing, for drivers that do not see the call itself."""
GIVEN_UP = CLIENT_RST
"""How a client ends what has failed. A FIN would look like a close that the scenario asks for, and leave a
TIME-WAIT that no scenario expects; a reset leaves nothing (K4)."""
ENDED_IDLE = frozenset(
    Failure(phase, kind)
    for phase in (Phase.SEND, Phase.RECEIVE)
    for kind in (Fault.NO_RESPONSE, *(errno.errorcode[code] for code in PEER_RESET))
)
"""How an exchange fails if the server ends the connection while the client takes it for idle."""


def failure_of(phase: Phase, error: OSError) -> Failure:
    """The failure that an OSError is: its errno's name."""
    return Failure(phase, errno.errorcode.get(error.errno or 0, type(error).__name__))
