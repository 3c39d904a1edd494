# SPDX-License-Identifier: Apache-2.0
import pytest

from vpr_ros.bags.camera_info import read_intrinsics
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.errors import BagError, FrameError

LENS = Intrinsics(640, 480, 400.0, 401.0, 320.0, 240.0, 'plumb_bob', (-0.2, 0.1, 0.0, 0.0, 0.0))


@pytest.fixture
def bag(tmp_path):
    """Record lenses on a topic: `bag(lenses, topic) -> path`."""
    def record(lenses, topic='/front/camera_info', storage='mcap'):
        path = tmp_path / ('run.bag' if storage == 'rosbag1' else 'run')
        with BagWriter(path, storage) as writer:
            writer.pose_stamped('/pose', 1, se3.IDENTITY)
            for stamp_ns, lens in enumerate(lenses):
                writer.camera_info(topic, stamp_ns, lens)
        return path
    return record


def read(path, image='/front/image_raw', topic=None):
    with Recording(path) as recording:
        return read_intrinsics(recording, image, topic)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3', 'rosbag1'])
@pytest.mark.parametrize('image', ['/front/image_raw', '/front/image_raw/compressed'])
def test_the_lens_is_read_beside_the_image(bag, storage, image):
    assert read(bag([LENS], storage=storage), image) == LENS


def test_zeros_before_the_calibration_are_passed_over(bag):
    assert read(bag([None, None, LENS])) == LENS


def test_a_topic_can_be_named(bag):
    assert read(bag([LENS], '/elsewhere/info'), topic='/elsewhere/info') == LENS


def test_a_rectified_picture_is_not_distorted(bag):
    assert read(bag([LENS]), '/front/image_rect') == Intrinsics(640, 480, 400.0, 401.0, 320.0,
                                                                240.0)


def test_nothing_recorded_or_calibrated_is_none(bag):
    path = bag([None, None])
    assert read(path) is None
    assert read(path, '/rear/image_raw') is None
    assert read(path, '/pose') is None


def test_a_named_topic_must_say_something(bag):
    path = bag([None])
    with pytest.raises(BagError, match='no topic /wrong.*/front/camera_info'):
        read(path, topic='/wrong')
    with pytest.raises(BagError, match='/pose is of type'):
        read(path, topic='/pose')
    with pytest.raises(BagError, match='not calibrated'):
        read(path, topic='/front/camera_info')


def test_what_makes_no_sense_is_refused_by_topic(bag):
    odd = object.__new__(Intrinsics)
    for name, value in {**LENS.record(), 'model': 'double_sphere'}.items():
        object.__setattr__(odd, name, value)
    with pytest.raises(FrameError, match='/front/camera_info: .*double_sphere'):
        read(bag([odd]))
