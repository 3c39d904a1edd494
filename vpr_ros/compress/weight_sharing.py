# SPDX-License-Identifier: Apache-2.0
"""Many weights -> few values and which of them each takes: k-means in one dimension.

As Han, Mao, Dally, Deep Compression, ICLR 2016 (linear initialization); optionally with an
entropy term, as Choi, El-Khamy, Lee, Towards the limit of network quantization, ICLR 2017.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import ModelError

_MOST_FITTED = 1 << 22   # of larger layers, evenly spread ones are fitted
_DISTORTION_PER_BIT = 2.0 * math.log(2.0)   # -(dD/dR) / D of many levels, however they lie
_SAVED_BY_SPLITTING = 0.75   # of a cell's squared error, where values lie evenly in it
_ROUNDING = 1e-9             # errors below this share of all are no errors

Values = NDArray[np.float32]


def shared(values: Values, levels: int, rounds: int, coarse: float = 0.0
           ) -> tuple[Values, NDArray[np.int32]]:
    """Return up to `levels` values, ascending (K,), and which of them (N,) each value takes.

    They start evenly spread over the ranges that hold values, which leaves the gap out that
    pruning makes around zero. `rounds` of k-means follow. `coarse` > 0: bits of an entropy coded
    index are worth as much as where rounding is this share of the values' spread, so that values
    which cost more than they tell go to a neighbor, and some levels stay unused; 0 is k-means.
    Values that are few enough are kept as they are. Raises ModelError where one is not finite.
    """
    if not np.isfinite(values).all():
        raise ModelError('a weight is not finite; train or import the model again')
    if levels < 1:
        raise ModelError(f'weights cannot share {levels} values; give at least 1')
    flat = np.ascontiguousarray(values, np.float32).ravel()
    if not flat.size:
        return np.empty(0, np.float32), np.empty(0, np.int32)
    book = _few(flat, levels)
    if book is not None:
        return book, np.searchsorted(book, flat).astype(np.int32)
    fitted = flat
    if flat.size > _MOST_FITTED:
        fitted = np.append(flat[::-(-flat.size // _MOST_FITTED)], [flat.min(), flat.max()])
    ordered = np.sort(fitted).astype(np.float64)
    book, borders = _fitted(ordered, _spread(ordered, levels), rounds, coarse)
    return book, np.searchsorted(borders, flat).astype(np.int32)


def _few(flat: Values, levels: int) -> Values | None:
    """Return the distinct values where they are no more than `levels`."""
    if flat.size > _MOST_FITTED and np.unique(flat[:_MOST_FITTED]).size > levels:
        return None
    distinct = np.unique(flat + np.float32(0.0))   # -0 is 0
    return distinct if distinct.size <= levels else None


def _spread(ordered: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """Return values in the middle of `levels` cells of one width over where there are values."""
    low, high = ordered[0], ordered[-1]
    below, above = ordered[ordered < 0.0], ordered[ordered > 0.0]
    gap = (below[-1], above[0]) if below.size and above.size else (0.0, 0.0)
    inner = gap[1] - gap[0]
    width = (high - low - inner) / levels
    along: NDArray[np.float64] = (np.arange(levels) + 0.5) * width + low
    return np.where(along > gap[0], along + inner, along)


def _fitted(ordered: NDArray[np.float64], book: NDArray[np.float64], rounds: int, coarse: float
            ) -> tuple[Values, NDArray[np.float64]]:
    """Return what `rounds` of k-means end with: the means of the cells, and the cells' borders."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(ordered ** power)]) for power in (1, 2))
    levels, width = len(book), (ordered[-1] - ordered[0]) / len(book)
    price, cost = _DISTORTION_PER_BIT * coarse ** 2 * squares[-1] / ordered.size, np.zeros(levels)
    for left in range(rounds, -1, -1):
        borders = _borders(book, cost)
        ends = np.concatenate([[0], np.searchsorted(ordered, borders, 'right'), [ordered.size]])
        counts = np.diff(ends)
        used = counts > 0    # cells that lost all their members are gone
        counts, means = counts[used], np.diff(sums[ends])[used] / counts[used]
        errors = np.diff(squares[ends])[used] - counts * means ** 2
        is_still = used.all() and np.allclose(means, book, rtol=0.0, atol=1e-6 * width)
        book, cost = means, -price * np.log2(counts / ordered.size)
        if left == 0 or is_still:
            break
        book, cost = _split(book, cost, errors, counts, price, levels - len(book))
    said: Values = np.unique(book.astype(np.float32))
    return said, _borders(said.astype(np.float64), cost[:len(said)])


def _split(book: NDArray[np.float64], cost: NDArray[np.float64], errors: NDArray[np.float64],
           counts: NDArray[np.int64], price: float, spare: int
           ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a book in which up to `spare` of the worst cells are two, where that is worth it."""
    least = _ROUNDING * errors.sum()
    worth = np.flatnonzero(errors * _SAVED_BY_SPLITTING > np.maximum(price * counts, least))
    worst = worth[np.argsort(-errors[worth], kind='stable')][:spare]
    if not worst.size:
        return book, cost
    aside = np.sqrt(errors[worst] / counts[worst])
    split = np.concatenate([np.delete(book, worst), book[worst] - aside, book[worst] + aside])
    costs = np.concatenate([np.delete(cost, worst), *(2 * [cost[worst] + price])])
    order = np.argsort(split, kind='stable')
    return split[order], costs[order]


def _borders(book: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where one cell ends and the next begins: `(w - a)^2 + cost_a` is as large as for b.

    A cell that is not worth its bits is squeezed to nothing between its neighbors.
    """
    gaps = np.maximum(np.diff(book), np.finfo(np.float64).tiny)
    borders = (book[1:] + book[:-1]) / 2.0 + np.diff(cost) / (2.0 * gaps)
    return np.asarray(np.maximum.accumulate(borders))
