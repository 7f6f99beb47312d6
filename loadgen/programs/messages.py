"""The messages of a keeper."""

from loadgen.records.events import CommandEnded, LoadEnds
from loadgen.wire.messages import Listening, Over, Ready

KeeperMessage = Ready | Listening | LoadEnds | CommandEnded | Over
