# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.compress.finetune_data import FEWEST_IMAGES, Labelled, Pictures
from vpr_ros.errors import DatasetError

SIZE = 24, 32


@pytest.fixture(scope='module')
def pictures():
    """Return pictures of which the first channel tells, also in a crop, which one it is."""
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 40, (40, 40, 3), dtype=np.uint8) for _ in range(12)]
    for i, image in enumerate(made):
        image[..., 0] = 20 * i
    return made


@pytest.fixture(params=['pictures', 'labelled'])
def lessons(request, pictures):
    if request.param == 'pictures':
        return Pictures(pictures)
    return Labelled(pictures, np.repeat(np.arange(4), 3), 4)


def test_the_same_number_gives_the_same_views(lessons):
    first, again = (lessons.views(3, 8, SIZE, 1) for _ in range(2))
    assert first.pixels.shape == (8, *SIZE, 3)
    assert first.pixels.dtype == np.uint8
    assert np.array_equal(first.pixels, again.pixels)
    assert (first.places is None) == (lessons.together == 1)
    for number, seed in ((4, 1), (3, 2)):
        assert not np.array_equal(first.pixels, lessons.views(number, 8, SIZE, seed).pixels)


def test_a_view_does_not_depend_on_how_many_there_are(pictures):
    few, many = (Pictures(pictures).views(0, count, SIZE, 0).pixels for count in (2, 6))
    assert np.array_equal(few, many[:2])


def test_views_of_a_place_lie_together_and_are_of_different_images(pictures):
    place_of = np.array([0, 0, 0, 7, 7, 7, 2, 2, 2, 9, 9, 9])
    views = Labelled(pictures, place_of, 3).views(0, 12, SIZE, 0)
    by_place = views.places.reshape(4, 3)
    assert (by_place == by_place[:, :1]).all()
    assert sorted(by_place[:, 0]) == [0, 1, 2, 3]   # each place once before any twice
    # the gamma and gain of a view change its level, never by the order of images in one place
    levels = views.pixels.reshape(4, 3, -1, 3)[..., 0].astype(int)
    assert all(len({int(view.max()) for view in place}) == 3 for place in levels)


def test_more_views_than_places_take_places_again(pictures):
    lessons = Labelled(pictures[:4], np.array([5, 5, 6, 6]), 2)
    places = lessons.views(0, 12, SIZE, 0).places
    assert np.bincount(places).tolist() == [6, 6]


def test_a_place_with_one_image_teaches_nothing(pictures):
    lessons = Labelled(pictures[:5], np.array([0, 0, 1, 2, 2]), 2)
    assert lessons.what == '2 views each of 2 labelled places'
    with pytest.raises(DatasetError, match='1 of 3 places have two images or more; .*make places '
                       'larger, or learn without labels'):
        Labelled(pictures[:4], np.array([0, 0, 1, 2]), 2)
    with pytest.raises(DatasetError, match='0 of 0 places'):
        Labelled([], np.array([], np.int64), 2)


def test_images_need_a_place_each(pictures):
    with pytest.raises(DatasetError, match='12 images have places of 3; give one for each'):
        Labelled(pictures, np.zeros(3, np.int64), 2)
    with pytest.raises(DatasetError, match='1 views of a place teach nothing'):
        Labelled(pictures, np.repeat(np.arange(4), 3), 1)


def test_too_few_pictures_are_refused(pictures):
    with pytest.raises(DatasetError, match='7 images are too few to learn from; give 8 or more'):
        Pictures(pictures[:FEWEST_IMAGES - 1])
    assert Pictures(pictures[:FEWEST_IMAGES]).what == 'views of 8 unlabelled images'


def test_pictures_of_one_color_are_refused():
    flat = [np.full((20, 20, 3), i, np.uint8) for i in range(9)]
    with pytest.raises(DatasetError, match='each of the images is of one color'):
        Pictures(flat)
    flat[4] = np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)
    Pictures(flat)
