# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.datasets.run import LazyImages, Run, RunPair
from vpr_ros.errors import DatasetError


def images(count):
    return LazyImages(count, lambda i: np.full((2, 3, 3), i, np.uint8))


def run(x_m, yaw_rad=0.0):
    poses = np.array([se3.from_xy_yaw(x, 0.0, yaw_rad) for x in x_m])
    return Run('run', 'map', 'front', None, np.arange(len(x_m), dtype=np.int64), poses, None,
               images(len(x_m)))


def test_images_are_made_when_asked_for():
    made = []
    lazy = LazyImages(5, lambda i: made.append(i) or np.full((1, 1, 3), i, np.uint8))
    assert len(lazy) == 5
    assert made == []
    assert lazy[-1][0, 0, 0] == 4
    assert made == [4]


def test_slices_stay_lazy_and_iterate():
    part = images(10)[2:9:3]
    assert [int(image[0, 0, 0]) for image in part] == [2, 5, 8]
    assert len(part[1:]) == 2


def test_an_index_beyond_the_end_is_refused():
    with pytest.raises(IndexError, match='image 5 of 5'):
        images(5)[5]


@pytest.mark.parametrize(('change', 'message'), [
    ({'images': images(3)}, 'has 2 stamps, 3 images'),
    ({'stamps_ns': np.array([5, 5])}, 'do not rise'),
    ({'map_from_base': np.zeros((2, 3))}, r'poses of shape \(2, 3\)'),
])
def test_a_run_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(DatasetError, match=message):
        replace(run([0.0, 1.0]), **change)


def test_positives_are_near_in_place_and_heading():
    mapped, asked = run([0.0, 1.0, 2.0, 9.0]), run([1.2, 50.0], yaw_rad=0.5)
    pair = RunPair('pair', mapped, asked, 1.25, 40.0, 'protocol')
    assert pair.metric_positives() == ((0, 1, 2), ())
    assert replace(pair, tolerance_deg=20.0).metric_positives() == ((), ())


@pytest.mark.parametrize(('change', 'message'), [
    ({'tolerance_m': 0.0}, 'must be positive'),
    ({'positives': ((1,),)}, 'lists positives of 1 queries but has 2'),
    ({'query': replace(run([0.0, 1.0]), frame_id='odom')}, 'different frames'),
])
def test_a_pair_that_contradicts_itself_is_refused(change, message):
    pair = RunPair('pair', run([0.0]), run([0.0, 1.0]), 1.0, 10.0, 'protocol')
    with pytest.raises(DatasetError, match=message):
        replace(pair, **change)
