# SPDX-License-Identifier: Apache-2.0
"""Every test, and every process that a test starts, runs the code of this tree.

Below: a toy world without a network, for tests of everything behind the descriptor.
"""

from collections.abc import Callable, Sequence
import hashlib
import math
import os
from pathlib import Path
import sys

from hypothesis import settings
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from vpr_ros.core import pose as se3  # noqa: E402
from vpr_ros.core.card import ModelCard, Preprocessing  # noqa: E402
from vpr_ros.core.place_map import PlaceMap  # noqa: E402
from vpr_ros.core.types import Camera, Descriptors, Frame, Image  # noqa: E402

paths = [str(ROOT), *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
os.environ['PYTHONPATH'] = os.pathsep.join(dict.fromkeys(paths))
os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

# A busy machine is slow; that is no failure.
# What lands is tested with the same examples each time; by hand, ever new ones are sought.
settings.register_profile('vpr_ros', settings(
    deadline=None, derandomize=bool(os.environ.get('CI'))))
settings.load_profile('vpr_ros')

DIM = 256
KNOT = 2.0   # places after which a look has become another one
MOUNT = se3.checked([0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5])


def card_of(name: str = 'toy') -> ModelCard:
    return ModelCard(name=name, backbone='none', cut='none', aggregator='grid',
                     aggregator_args={}, widths={}, dim=DIM, preprocessing=Preprocessing(16, 16),
                     digest=hashlib.sha256(name.encode()).hexdigest())


def look(identity: float, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A unit descriptor that turns smoothly with `identity`: neighbors look alike."""
    knot = math.floor(identity / KNOT)
    share = identity / KNOT - knot
    before, after = (np.random.default_rng((7, abs(k), k < 0)).normal(size=DIM)
                     for k in (knot, knot + 1))
    vector = before + (after - before) * share * share * (3.0 - 2.0 * share)
    vector += noise * np.random.default_rng(seed).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class ToyDescriber:
    """Reads in the first pixels which place a toy image shows, and gives that look."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def describe(self, images: Sequence[Image]) -> Descriptors:
        return np.stack([look(_identity(image)) for image in images])


def _identity(image: Image) -> float:
    return float(image[0, 0].astype(int) @ [65536, 256, 1]) / 1000.0


def picture(identity: float) -> Image:
    image = np.zeros((16, 16, 3), np.uint8)
    code = round(identity * 1000)
    image[0, 0] = (code >> 16, (code >> 8) & 255, code & 255)
    return image


@pytest.fixture
def describer() -> ToyDescriber:
    return ToyDescriber(card_of())


@pytest.fixture
def view() -> Callable[..., Frame]:
    """Return a frame that looks like place `identity`, taken at second `second`."""
    def make(identity: float, second: float, camera: str = 'camera') -> Frame:
        return Frame(round(second * 1e9), camera, picture(identity))
    return make


def corridor_of(places: int) -> PlaceMap:
    """A straight corridor along x with a place each meter, seen by a forward camera."""
    return PlaceMap(
        frame_id='map', card=card_of(), cameras=(Camera('camera', MOUNT),),
        descriptors=np.stack([look(i) for i in range(places)]),
        poses=np.stack([se3.from_xy_yaw(float(i), 0.0, 0.0) for i in range(places)]),
        stamps_ns=np.arange(places, dtype=np.int64) * 10**9,
        camera_of=np.zeros(places, np.int32), session_of=np.zeros(places, np.int32),
        sessions=('first',), thumbnails=tuple(b'jpeg%d' % i for i in range(places)),
        topics={'camera': '/image'}, pose_source='/pose')


@pytest.fixture
def corridor() -> PlaceMap:
    return corridor_of(60)


@pytest.fixture
def toy_picture() -> Callable[[float], Image]:
    """Return the picture that a toy describer takes for place `identity`."""
    return picture
