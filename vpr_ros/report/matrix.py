# SPDX-License-Identifier: Apache-2.0
"""The similarity matrix as two pictures: how alike, and around what the lines of truth go."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.report.evaluation_folder import Similarity

_LINE_BGRA = (208, 158, 255, 255)
_LEAST_SPAN = 1e-6


def drawn_matrix(similarity: Similarity) -> dict[str, Any]:
    """Return PNGs of a pixel for each block, and from which to which similarity colors go.

    Pictures, since a browser draws one at once and 250,000 cells slowly. Colors are those of
    Cividis, from the 1st percentile to the largest: even in lightness, also for the color-blind.
    """
    known = np.nan_to_num(similarity.values, nan=0.0, posinf=1.0, neginf=-1.0)
    lowest, highest = float(np.percentile(known, 1)), float(known.max())
    steps = np.clip((known - lowest) / max(highest - lowest, _LEAST_SPAN) * 255.0, 0.0, 255.0)
    colors = cv2.applyColorMap(steps.round().astype(np.uint8), cv2.COLORMAP_CIVIDIS)
    outline = np.zeros((*similarity.truth.shape, 4), np.uint8)
    outline[_edges(similarity.truth)] = _LINE_BGRA
    return {'values': _png(colors), 'truth': _png(outline),
            'queries': similarity.shape[0], 'places': similarity.shape[1],
            'lowest': lowest, 'highest': highest}


def _edges(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cells just outside a region, so that what is inside stays to be seen."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    grown = cv2.dilate(inside.astype(np.uint8), cross)
    return np.asarray((grown > 0) & ~inside)


def _png(image: NDArray[np.uint8] | Any) -> str:
    _, encoded = cv2.imencode('.png', image)
    return base64.b64encode(encoded.tobytes()).decode('ascii')
