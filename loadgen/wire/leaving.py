"""The end of a process that has written its last line."""

import os
import sys
from typing import NoReturn


def leave() -> NoReturn:
    """End this process at once: the interpreter would take numpy apart first, for 60 ms of a core.

    The kernel closes what is open, as it would then. Only for a process that has nothing left to write.
    """
    sys.stderr.flush()
    os._exit(0)
