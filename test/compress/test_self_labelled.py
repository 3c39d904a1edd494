# SPDX-License-Identifier: Apache-2.0
import numpy as np

from vpr_ros.compress.self_labelled import changed_view, self_labelled, VIEWS


def test_each_view_belongs_to_its_image_only():
    images = [np.full((20, 30, 3), 40 * i, np.uint8) for i in range(5)]
    pair = self_labelled(images)
    assert len(pair.query.images) == VIEWS * 5
    assert pair.positives == tuple((i // VIEWS,) for i in range(VIEWS * 5))
    assert pair.metric_positives() == pair.positives
    assert 'stand-in' in pair.protocol


def test_views_are_other_pictures_of_the_same_size_and_repeat_by_seed():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    one, again, other = (self_labelled([image], seed).query.images for seed in (0, 0, 1))
    np.testing.assert_array_equal(one[0], again[0])
    assert not np.array_equal(one[0], image)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], other[0])
    assert one[0].shape == image.shape
    assert one[0].dtype == np.uint8


def test_a_picture_of_one_pixel_has_views():
    view = changed_view(np.full((1, 1, 3), 9, np.uint8), np.random.default_rng(0))
    assert view.shape == (1, 1, 3)
