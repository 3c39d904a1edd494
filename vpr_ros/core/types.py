# SPDX-License-Identifier: Apache-2.0
"""The records that pass between the rooms, in the order in which a frame meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.card import ModelCard
from vpr_ros.core.confidence import Signs
from vpr_ros.core.image import decode_image
from vpr_ros.core.intrinsics import Intrinsics

Image = NDArray[np.uint8]         # (height, width, 3) RGB
Descriptors = NDArray[np.float32]  # (B, dim), each row of unit length


@dataclass(frozen=True)
class Camera:
    """A camera by name, how it is mounted and its lens; None where nobody said."""

    name: str
    base_from_camera: se3.Array | None = None
    intrinsics: Intrinsics | None = None


@dataclass(frozen=True)
class Frame:
    """One picture: when, by which camera, what."""

    stamp_ns: int
    camera: str
    image: Image

    @classmethod
    def from_message(cls, message: Any, camera: str) -> Frame:
        """Return the frame of a `sensor_msgs` Image or CompressedImage (rclpy's or rosbags').

        Raises FrameError when the message does not hold a picture that can be decoded.
        """
        return cls(stamp_ns_of(message), camera, decode_image(message))


def stamp_ns_of(message: Any) -> int:
    """Return a message's header stamp in nanoseconds (ROS 2 names, as rosbags gives for ROS 1)."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


@dataclass(frozen=True)
class Trajectory:
    """Poses over time: `stamps_ns` (N,) int64 rising strictly, `poses` (N, 7) in `frame_id`.

    `breaks` are the rows with which another recording begins, so nobody drove there from the row
    before.
    """

    stamps_ns: NDArray[np.int64]
    poses: se3.Array
    frame_id: str
    breaks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.stamps_ns.ndim != 1 or self.poses.shape != (len(self.stamps_ns), 7):
            raise ValueError(f'{self.stamps_ns.shape} stamps do not fit {self.poses.shape} poses')
        if (np.diff(self.stamps_ns) <= 0).any():
            raise ValueError('the stamps of a trajectory must rise strictly')
        object.__setattr__(self, 'poses', se3.checked(self.poses))


class Describer(Protocol):
    """A network with its engine: images in, descriptors out."""

    @property
    def card(self) -> ModelCard:
        """The card of the network that this runs."""

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return one unit descriptor for each image, (B, dim)."""


@dataclass(frozen=True)
class Match:
    """A place of the map (its row) and how similar it looks (cosine, -1 to 1)."""

    place: int
    similarity: float


@dataclass(frozen=True)
class Hypothesis:
    """Where the robot may be: `pose` is `map_from_base` at `stamp_ns`.

    `covariance` is (6, 6) over x y z roll pitch yaw (m, rad), positive definite.
    """

    stamp_ns: int
    frame_id: str
    pose: se3.Array
    covariance: NDArray[np.float64]
    probability: float


class Reason(Enum):
    """The verdict on a frame; everything but ACCEPTED is a refusal and says why."""

    ACCEPTED = 'accepted'
    UNKNOWN = 'unknown'          # most likely not in the map
    WEAK = 'weak'                # no hypothesis is probable enough
    AMBIGUOUS = 'ambiguous'      # several places are nearly as probable
    UNCONFIRMED = 'unconfirmed'  # probable, but not for long enough yet
    UNVERIFIED = 'unverified'    # the views do not agree geometrically
    STALE = 'stale'              # older than what was already judged


@dataclass(frozen=True)
class Timing:
    """Milliseconds that one frame spent in each stop."""

    describe_ms: float
    search_ms: float
    judge_ms: float


@dataclass(frozen=True)
class Outcome:
    """What the map says about one frame; hypotheses are best first, also when refused.

    `restarted`: time had jumped backwards, so what was believed before this frame was dropped.
    """

    stamp_ns: int
    camera: str
    matches: tuple[Match, ...]
    hypotheses: tuple[Hypothesis, ...]
    reason: Reason
    unknown_probability: float
    restarted: bool = False
    signs: Signs | None = None   # what speaks for the first hypothesis; None without one
    timing: Timing = field(default=Timing(0.0, 0.0, 0.0), compare=False)

    @property
    def accepted(self) -> Hypothesis | None:
        """The hypothesis that may be used as a pose, or None."""
        return self.hypotheses[0] if self.reason is Reason.ACCEPTED else None
