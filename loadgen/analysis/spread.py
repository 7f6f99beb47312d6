"""Numbers that come one by one, of which a median is wanted: how often each was seen, rounded.

Pure. 11 significant binary digits are kept, so the median is exact to half a thousandth, and there are a few
thousand different numbers at most, however many are added.
"""

from collections import Counter

DIGITS = 11


def rounded(value: int) -> int:
    """Rounded down. Half of a number is rounded to half of what it is rounded to."""
    shift = max(value.bit_length() - DIGITS, 0)
    return value >> shift << shift


class Spread:
    """How often each number was seen."""

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()

    def add(self, value: int) -> None:
        self._seen[rounded(value)] += 1

    def median(self) -> float | None:
        """The middle one, or the mean of the two in the middle; None where there is none."""
        if not self._seen:
            return None
        count = self._seen.total()
        return (self._at((count - 1) // 2) + self._at(count // 2)) / 2

    def _at(self, rank: int) -> int:
        for value in sorted(self._seen):
            rank -= self._seen[value]
            if rank < 0:
                return value
        raise IndexError(rank)
