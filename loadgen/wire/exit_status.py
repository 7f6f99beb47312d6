"""How a process ended, in words: by its exit status, or by the signal that ended it."""

import signal


def how_ended(code: int) -> str:
    """In words, from its exit code, or minus the signal's number, as `subprocess` has them."""
    return f"by {signal_name(-code)}" if code < 0 else f"with exit status {code}"


def signal_name(number: int) -> str:
    """A signal's name; its number too where it has none of its own, as most real-time signals have not."""
    try:
        return signal.Signals(number).name
    except ValueError:
        pass
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"signal {number} (SIGRTMIN+{number - signal.SIGRTMIN})"
    return f"signal {number}"
