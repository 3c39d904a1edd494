# SPDX-License-Identifier: Apache-2.0
"""What every engine's output must be before anyone relies on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vpr_ros.core.card import ModelCard
from vpr_ros.core.types import Descriptors
from vpr_ros.errors import ModelError

_UNIT_TOLERANCE = {'fp32': 1e-3}  # a length that was computed in half as many bits is rounder
_COARSE_TOLERANCE = 2e-2


def checked_descriptors(output: Any, count: int, card: ModelCard,
                        precision: str = 'fp32') -> Descriptors:
    """Return `output` when it is `count` finite unit descriptors as the card says.

    Below fp32 they are brought to unit length once more, in float32.  Raises ModelError otherwise.
    """
    rows = np.asarray(output, np.float32)
    if rows.shape != (count, card.dim):
        raise ModelError(f'{card.name} gave {rows.shape} for {count} images, its card says '
                         f'{card.dim} dimensions; export it again')
    lengths = np.linalg.norm(rows, axis=1)
    if not np.isfinite(lengths).all():
        raise ModelError(f'{card.name} gave a descriptor that is not finite; its weights are '
                         'damaged, export it again')
    if (np.abs(lengths - 1.0) > _UNIT_TOLERANCE.get(precision, _COARSE_TOLERANCE)).any():
        raise ModelError(f'{card.name} gave a descriptor of length {lengths.min():.3g}, '
                         'not 1; export it again')
    return rows if precision in _UNIT_TOLERANCE else rows / lengths[:, None]
