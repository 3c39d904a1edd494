# SPDX-License-Identifier: Apache-2.0
"""What an evaluation is, wherever its frames came from."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.frame_scores import FrameScores
from vpr_ros.core.judged import JudgedFrame
from vpr_ros.core.scoring import Report
from vpr_ros.core.types import Descriptors


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The report, and every frame behind it.

    `places` (N, 7) are the base poses that the rows of the map stand for, for the camera that was
    asked. `thumbnails` hold a JPEG for each frame, and `descriptors` (F, dim) what the network
    made of it, or nothing at all.
    """

    report: Report
    frames: tuple[JudgedFrame, ...]
    scores: FrameScores               # of each frame
    remarks: tuple[str, ...]          # what a person should know of the recording and the map
    threshold: float                  # least probability of an accepted pose
    calibration: Calibration | None   # of the map, as far as it was in use
    places: se3.Array
    thumbnails: tuple[bytes, ...] = ()
    descriptors: Descriptors | None = None
    described: str = ''               # where the descriptors came from, in a line
