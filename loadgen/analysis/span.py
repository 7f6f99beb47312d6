"""Which sets of columns can add up to a total, beside columns that are in any: all sets of a size at once.

Pure. A necessary condition, by floating point: it leaves few sets for a solution in whole numbers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

RANK = 1e-9
"""A singular value below this share of the largest is rounding: columns are small whole numbers."""
NEAR = 1e-6
"""The distance from a total, as a share of it, within which a set counts as adding up to it."""


class Span:
    """What is left of `others`, and of `total`, beyond the linear combinations of the columns of `base`.

    base     shape (rows, any)
    others   shape (rows, columns)
    total    shape (rows,)
    """

    def __init__(self, base: Matrix, others: Matrix, total: Matrix) -> None:
        left, sizes, _ = np.linalg.svd(base, full_matrices=False)
        spanned = left[:, sizes > RANK * max(sizes, default=0.0)]
        self._columns = (others - spanned @ (spanned.T @ others)).T
        self._total = total - spanned @ (spanned.T @ total)
        self._near = NEAR * float(np.linalg.norm(total)) + RANK

    def reaches(self, sets: Sequence[tuple[int, ...]], size: int) -> list[bool]:
        """For each set of `size` of the others, by index: some multiples of its columns and of the base's add
        up to the total."""
        columns = self._columns[np.array(sets, dtype=np.intp).reshape(len(sets), size)]
        products = columns @ columns.transpose(0, 2, 1)
        along = columns @ self._total
        multiples = np.linalg.pinv(products, rcond=RANK, hermitian=True) @ along[:, :, np.newaxis]
        missed = self._total - np.sum(multiples * columns, axis=1)
        reached: list[bool] = (np.linalg.norm(missed, axis=1) <= self._near).tolist()
        return reached
