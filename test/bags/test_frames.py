# SPDX-License-Identifier: Apache-2.0
import sqlite3
import warnings

import numpy as np
import pytest

from vpr_ros.bags.encode import ENCODINGS, raw_image
from vpr_ros.bags.frames import FrameCount, read_frames, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.errors import BagError, FrameError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S
COLOR = np.array([200, 120, 40], np.uint8)


@pytest.mark.parametrize('storage', STORAGES)
def test_every_encoding_comes_through_a_bag(new_path, storage):
    flat = np.broadcast_to(COLOR, (12, 16, 3))
    with BagWriter(new_path(storage), storage) as bag:
        for index, encoding in enumerate(ENCODINGS):
            for padding in (0, 5):
                for big in (False, True):
                    bag.image('/cam', T0 + index, flat, encoding=encoding, padding_bytes=padding,
                              is_bigendian=big)
    gray = round(float(COLOR @ [0.299, 0.587, 0.114]))
    with Recording(new_path(storage)) as recording:
        for frame in read_frames(recording, '/cam', 'front'):
            encoding = ENCODINGS[frame.stamp_ns - T0]
            expected = gray if encoding.startswith('mono') else COLOR
            inner = frame.image[2:-2, 2:-2].astype(int)
            np.testing.assert_allclose(inner, np.broadcast_to(expected, (8, 12, 3)),
                                       atol=3, err_msg=encoding)


@pytest.mark.parametrize('storage', STORAGES)
def test_compressed_images_come_through_a_bag(new_path, picture, storage):
    with BagWriter(new_path(storage), storage) as bag:
        bag.compressed_image('/cam/compressed', T0, picture(0), codec='png')
        bag.compressed_image('/cam/compressed', T0 + 1, np.broadcast_to(COLOR, (8, 8, 3)))
    with Recording(new_path(storage)) as recording:
        png, jpeg = read_frames(recording, '/cam/compressed', 'front')
    np.testing.assert_array_equal(png.image, picture(0))
    np.testing.assert_allclose(jpeg.image.astype(int), np.broadcast_to(COLOR, (8, 8, 3)), atol=3)


@pytest.mark.parametrize('storage', STORAGES)
def test_frames_carry_stamp_camera_and_picture(drive, picture, storage):
    bag = drive(storage)
    count = FrameCount()
    with Recording(bag.path) as recording:
        frames = list(read_frames(recording, '/cam', 'front', count))
    assert [f.stamp_ns for f in frames] == bag.stamps_ns
    assert {f.camera for f in frames} == {'front'}
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(index))
    assert (count.read, count.skipped, str(count)) == (20, 0, '20 images')


def test_only_chosen_images_are_decoded(drive, monkeypatch):
    decoded = []
    monkeypatch.setattr('vpr_ros.core.types.decode_image', lambda m: decoded.append(m))
    bag = drive()
    with Recording(bag.path) as recording:
        images = list(read_images(recording, '/cam', 'front'))
        assert [i.stamp_ns for i in images] == bag.stamps_ns
        assert decoded == []
        images[7].decode()
    assert len(decoded) == 1
    assert decoded[0].header.stamp.nanosec == bag.stamps_ns[7] % S


def write_with_bad_ones(path, picture, storage='mcap', bad=(3, 5), count=10):
    with BagWriter(path, storage) as bag:
        for index in range(count):
            if index in bad:
                bag.image_bytes('/cam', T0 + index, 4, 4, '16UC1', 8, bytes(32))
            else:
                bag.image('/cam', T0 + index, picture(index))


@pytest.mark.parametrize('storage', STORAGES)
def test_bad_images_are_counted_and_skipped(new_path, picture, storage):
    write_with_bad_ones(new_path(storage), picture, storage)
    count = FrameCount()
    with Recording(new_path(storage)) as recording, warnings.catch_warnings():
        warnings.simplefilter('error')
        stamps = [f.stamp_ns - T0 for f in read_frames(recording, '/cam', 'front', count)]
    assert stamps == [0, 1, 2, 4, 6, 7, 8, 9]
    assert (count.read, count.skipped) == (8, 2)
    assert '16UC1 is a depth image' in count.first_problem
    assert str(count).startswith('2 of 10 images were skipped; the first because encoding 16UC1')


def test_bytes_that_are_no_message_are_skipped_as_well(new_path, picture):
    write_with_bad_ones(new_path('sqlite3'), picture, 'sqlite3', bad=())
    connection = sqlite3.connect(new_path('sqlite3') / 'run.db3')
    connection.execute("UPDATE messages SET data = x'0001' WHERE id = 2")
    connection.execute('UPDATE messages SET data = substr(data, 1, 40) WHERE id = 4')
    connection.commit()
    connection.close()
    count = FrameCount()
    with Recording(new_path('sqlite3')) as recording:
        stamps = [f.stamp_ns - T0 for f in read_frames(recording, '/cam', 'front', count)]
    assert stamps == [0, 2, 4, 5, 6, 7, 8, 9]
    assert count.skipped == 2
    assert 'too short for a header' in count.first_problem


def test_no_decodable_image_at_all_is_an_error(new_path, picture):
    write_with_bad_ones(new_path(), picture, bad=range(4), count=4)
    with Recording(new_path()) as recording, pytest.raises(
            BagError, match='none of the 4 images of /cam can be decoded; the first: .*16UC1'):
        list(read_frames(recording, '/cam', 'front'))


def test_a_bad_image_chosen_by_hand_is_a_frame_error(new_path, picture):
    write_with_bad_ones(new_path(), picture, bad=(0,), count=2)
    with Recording(new_path()) as recording:
        first = next(read_images(recording, '/cam', 'front'))
        with pytest.raises(FrameError, match='16UC1'):
            first.decode()


def test_a_missing_image_topic_is_refused_at_once(drive):
    with Recording(drive().path) as recording:
        with pytest.raises(BagError, match=r'no topic /nose .*would do: /cam'):
            read_images(recording, '/nose', 'front')
        with pytest.raises(BagError, match=r'/odom is of type nav_msgs/msg/Odometry, but'):
            read_frames(recording, '/odom', 'front')


def test_frames_can_be_read_ahead(drive, picture):
    with Recording(drive('sqlite3').path) as recording:
        frames = list(prefetch(read_frames(recording, '/cam', 'front'), 3))
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(index))


def test_an_unknown_encoding_is_not_written():
    with pytest.raises(BagError, match="cannot write encoding 'jpeg2000'; choose one of rgb8"):
        raw_image(np.zeros((2, 2, 3), np.uint8), 'jpeg2000')
    with pytest.raises(BagError, match='nv12 cannot hold 3x2 pixels'):
        raw_image(np.zeros((2, 3, 3), np.uint8), 'nv12')
