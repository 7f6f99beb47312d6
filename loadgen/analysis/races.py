"""Races between the two ends of a connection: both close it, or open it, and each kernel counts its own view.

Pure. churn counts the client's view of a connection. If the server acts before it knows of the client's act,
its kernel counts something else. The audit expects these differences, as far as the kernels' counters bound
them.
"""

from dataclasses import dataclass
from math import ceil

from loadgen.analysis.counts import (
    ABORTED_ON_DATA,
    ABORTS,
    ACCEPTED,
    ACTIVE_CLOSES,
    OVERFLOWS,
    RESETS,
    Counted,
    LegCounts,
    sum_of,
)
from loadgen.tcp import Ending

BEHIND = 0.25
"""The largest share of the client's FINs that may come after the server's own. The driver looks who closed
first microseconds before it sends the FIN: more than that is a driver that counts wrongly."""
BEHIND_ANYWAY = 8
"""This many are possible whatever the share: uring closes so many together after the last look."""


@dataclass(frozen=True, slots=True)
class Races:
    """Connections that a kernel counts otherwise than churn, which knows the client's view alone.

    Closed by the client, and by the server before it knew of that (RFC 9293, section 3.6):

    fins        the client's FIN reached a server that had sent its own FIN: it has a TIME-WAIT, too
    behind      those of them for which the server's FIN reached the client before the client sent its own,
                just after the driver had looked: the client has no TIME-WAIT. Unknown in a shared namespace
    resets      the client's RST reached a server that had sent its FIN and kept its descriptor: the server
                has no EstabResets and no TIME-WAIT
    refused     the client's FIN reached a server that closed with bytes unread: its RST is in its
                EstabResets; lost: those of them whose RST arrived before the client had TIME-WAIT

    Closed by the server's FIN:

    late        bytes of the client arrived after it: the server's RST left no TIME-WAIT (RFC 1122, 4.2.2.13)

    Closed by a RST of either side:

    unaccepted  established at the client only. The server's accept queue was full, and its kernel had dropped
                the last ACK of the handshake: PassiveOpens and EstabResets do not count it
    """

    fins: int = 0
    behind: int = 0
    resets: int = 0
    refused: int = 0
    lost: int = 0
    late: int = 0
    unaccepted: int = 0


NO_RACES = Races()


def find_races(counted: Counted, ends: LegCounts, *, server_ends: bool = True) -> Races:
    """The races that explain how the kernels' counters differ from the driver's; none if they do not.

    For drivers. If the server ends no connections by itself (`server_ends`), it cannot close one at the same
    time as the client. There are at most as many races as churn counts closes of that kind, few of them are
    `behind`, and a counter of the server bounds each of the others.
    """
    if any(
        name not in counters for counters in ends.kernels for name in (*ACCEPTED, *ACTIVE_CLOSES, *RESETS)
    ):
        return NO_RACES
    client, server = ends.opener, ends.accepter
    client_fin, client_rst, server_fin, server_rst = (counted.closes[ending] for ending in Ending)
    resets = client_rst + server_rst
    unaccepted = counted.connected - sum_of(server, ACCEPTED)
    if not 0 <= unaccepted <= min(resets, server.get(OVERFLOWS, 0)):
        unaccepted = 0
    if not server_ends:
        return Races(unaccepted=unaccepted)
    if ends.shared:
        fins, behind = sum_of(client, ACTIVE_CLOSES) - client_fin - server_fin, 0
        spared = 2 * resets + counted.server_fin_reset - sum_of(client, RESETS) - unaccepted
    else:
        fins = sum_of(server, ACTIVE_CLOSES) - server_fin
        behind = client_fin - sum_of(client, ACTIVE_CLOSES)
        spared = resets - sum_of(server, RESETS) - unaccepted
    refused = -spared if 0 < -spared <= min(client_fin, sum(server.get(name, 0) for name in ABORTS)) else 0
    lost = min(max(behind, 0), refused)
    late = -fins if 0 < -fins <= min(server_fin, server.get(ABORTED_ON_DATA, 0)) else 0
    fins, behind = fins + late, behind - lost
    if not (0 <= behind <= fins <= client_fin and behind <= max(BEHIND_ANYWAY, ceil(BEHIND * client_fin))):
        fins = behind = 0
    return Races(fins, behind, spared if 0 <= spared <= client_rst else 0, refused, lost, late, unaccepted)
