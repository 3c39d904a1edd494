# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.errors import BagError, DatasetError
from vpr_ros.tools.picture_source import BagCamera, folder_pictures, is_bag, spread


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_choice_is_evenly_spread_and_repeats_nothing(total, count):
    rows = spread(total, count)
    assert len(rows) == len(set(rows)) == min(total, count)
    assert rows[0] >= 0
    assert rows[-1] < total
    assert rows == sorted(rows)
    assert max(np.diff(rows), default=1) - min(np.diff(rows), default=1) <= 1


def test_pictures_are_found_by_their_endings_in_color_and_in_order(tmp_path):
    (tmp_path / 'deeper').mkdir()
    for row, name in enumerate(('b.png', 'a.JPG', 'deeper/c.bmp')):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), (0, 0, 60 * row), np.uint8))
    (tmp_path / 'poses.csv').write_text('no picture')
    pictures = folder_pictures(tmp_path, 10)
    assert [int(picture[0, 0, 0]) // 60 for picture in pictures] == [1, 0, 2]
    assert len(folder_pictures(tmp_path, 2)) == 2


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(DatasetError, match=r'holds no pictures \(\.jpg'):
        folder_pictures(tmp_path, 4)
    with pytest.raises(DatasetError, match='neither a folder of pictures nor a bag'):
        folder_pictures(tmp_path / 'notes.txt', 4)


@pytest.mark.parametrize('content', [b'', b'not a picture'])
def test_a_picture_that_is_none_is_named_when_it_is_read(tmp_path, content):
    (tmp_path / 'broken.jpg').write_bytes(content)
    pictures = folder_pictures(tmp_path, 4)
    with pytest.raises(DatasetError, match=r'broken\.jpg is not a picture that can be decoded'):
        pictures[0]


def test_a_bag_gives_images_spread_over_it(drive, halves, toy_picture):
    bag = drive('run', halves(0, 10), spoil=(3,))
    assert is_bag(bag)
    assert not is_bag(bag.parent)
    images = BagCamera(bag).images(5)
    assert [row for row in range(20) if any(np.array_equal(toy_picture(row / 2), image)
                                            for image in images)] == [2, 6, 10, 14, 18]


def test_a_bag_gives_a_run_where_there_are_poses(drive, halves):
    bag = drive('run', halves(0, 10), pose_delay_s=2.5)
    run = BagCamera(bag, '/image', '/pose').run(100)
    assert len(run.images) == 17
    assert run.frame_id == 'map'
    assert run.map_from_base[0, 0] == pytest.approx(0.25)


def test_a_topic_that_is_not_there_is_refused_with_those_that_are(drive, halves):
    with pytest.raises(BagError, match=r'no topic /front .*/image'):
        BagCamera(drive('run', halves(0, 3)), '/front').images(5)
