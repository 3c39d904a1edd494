# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.errors import BagError, DatasetError
from vpr_ros.tools.bag_places import bag_places, moved_rows, PlaceConfig
from vpr_ros.tools.picture_source import BagCamera


def camera(bag):
    return BagCamera(bag, '/image', '/pose')


def test_places_are_made_along_a_recording_and_across_recordings(drive, halves, toy_picture):
    first, second = drive('one', halves(0, 6)), drive('two', halves(2, 8), start_s=1000.0)
    places = bag_places([camera(first), camera(second)],
                        PlaceConfig(place_m=0.6, apart_m=1.8, least_images=2))
    x = places.positions_m[:, 0]
    founders = {number: x[rows[0]] for number, rows in places.rows_by_place().items()}
    assert [round(at, 1) for at in founders.values()] == [0.0, 2.0, 4.0, 6.0]
    for number, rows in places.rows_by_place().items():
        assert np.abs(x[rows] - founders[number]).max() <= 0.6
    shared = [number for number, at in founders.items() if 2.0 <= at < 6.0]
    assert all(len(places.rows_by_place()[number]) > 3 for number in shared)
    assert np.array_equal(places.images[1], toy_picture(0.5))
    assert 'recordings one + two, positions in map' in places.protocol


def test_a_robot_that_stands_gives_one_image():
    poses = np.stack([se3.from_xy_yaw(x, 0.0, yaw) for x, yaw in (
        (0.0, 0.0), (0.05, 0.0), (0.05, 0.2), (0.2, 0.2), (0.25, 0.2))])
    assert moved_rows(poses, PlaceConfig()).tolist() == [0, 2, 3]
    assert moved_rows(poses, PlaceConfig(step_m=0.0)).tolist() == [0, 1, 2, 3, 4]


def test_what_makes_no_places_is_refused(drive, halves):
    bag = drive('one', halves(0, 3))
    with pytest.raises(DatasetError, match='at least one recording'):
        bag_places([])
    with pytest.raises(DatasetError, match='has 9 images; the most'):
        bag_places([camera(bag)], PlaceConfig(least_images=9))
    with pytest.raises(BagError, match='/other'):
        bag_places([BagCamera(bag, '/image', '/other')])
    with pytest.raises(DatasetError, match='a place needs an image'):
        PlaceConfig(least_images=0)
    with pytest.raises(DatasetError, match='different frames, elsewhere and map'):
        bag_places([camera(bag), _Elsewhere()])


class _Elsewhere:
    def run(self, count):
        from dataclasses import replace

        from vpr_ros.datasets.file_runs import file_run
        return replace(file_run('x', []), frame_id='elsewhere')
