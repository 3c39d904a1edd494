# SPDX-License-Identifier: Apache-2.0
"""What became of each frame, in the five words that matter to somebody with a robot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vpr_ros.report.frame_table import FrameTable


class Verdict(IntEnum):
    """A frame is exactly one of these."""

    RIGHT = 0        # a pose, and within the tolerance
    WRONG = 1        # a pose beyond the tolerance, though the map knows the place
    OFF_MAP_FIX = 2  # a pose beyond the tolerance where the map knows no place
    MISSED = 3       # no pose, though the map knows the place
    SILENT = 4       # no pose, and the map knows no place: as it should be


@dataclass(frozen=True)
class Look:
    """How a verdict is drawn and named.

    Colors are of Okabe and Ito's palette, which holds for the color-blind; each verdict has a
    marker of its own besides.
    """

    name: str
    meaning: str
    color: str
    marker: str
    size: int


LOOKS = {
    Verdict.RIGHT: Look('right pose', 'a pose was given, and it was within the tolerance',
                        '#009e73', 'circle', 6),
    Verdict.WRONG: Look('wrong pose', 'a pose was given beyond the tolerance, at a place that '
                        'the map knows', '#d55e00', 'x', 10),
    Verdict.OFF_MAP_FIX: Look('pose off the map', 'a wrong pose was given where the map has no '
                              'place near the truth', '#cc79a7', 'diamond', 9),
    Verdict.MISSED: Look('silent, place known', 'no pose was given, though the map has a place '
                         'there', '#56b4e9', 'circle-open', 6),
    Verdict.SILENT: Look('silent, off the map', 'no pose was given, and the map has no place '
                         'there: as it should be', '#8d99a3', 'square-open', 5),
}


def verdicts(frames: FrameTable) -> NDArray[np.uint8]:
    """Return the verdict on each frame (F,)."""
    wrong = frames.accepted & ~frames.right
    return np.select(
        [frames.accepted & frames.right, wrong & frames.has_match, wrong, frames.has_match],
        [Verdict.RIGHT, Verdict.WRONG, Verdict.OFF_MAP_FIX, Verdict.MISSED],
        Verdict.SILENT).astype(np.uint8)
