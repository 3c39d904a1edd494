# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('onnx', reason='onnx is not installed')

from vpr_ros.core.types import Match, Outcome, Reason
from vpr_ros.ros.debug_image import debug_picture


def outcome(places):
    matches = tuple(Match(place, 0.9) for place in places)
    return Outcome(1, 'camera', matches, (), Reason.WEAK, 0.1)


def test_the_query_stands_beside_the_places_that_look_like_it(stage, describer):
    place_map = stage.place_map(describer)
    picture = debug_picture(stage.view(7), outcome([7, 20]), place_map, 2)
    assert picture.shape == (264, 3 * 320 + 2 * 4, 3)
    query, best, second = picture[:240, :320], picture[:240, 324:644], picture[:240, 648:]
    assert np.abs(query.astype(int) - best).mean() < 10.0   # but for JPEG
    assert np.abs(query.astype(int) - second).mean() > 30.0


def test_places_without_thumbnails_are_black(stage, describer):
    place_map = stage.place_map(describer)
    for thumbnails in ((), (b'',) * len(place_map), (b'no jpeg',) * len(place_map)):
        bare = replace(place_map, thumbnails=thumbnails)
        picture = debug_picture(stage.view(7), outcome([7]), bare, 3)
        assert not picture[:240, 324:].any()


def test_a_tall_picture_keeps_its_shape(stage, describer):
    tall = np.zeros((200, 50, 3), np.uint8)
    picture = debug_picture(tall, outcome([]), stage.place_map(describer), 3)
    assert picture.shape == (264, 60, 3)
