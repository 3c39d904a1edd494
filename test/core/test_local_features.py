# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor

import cv2
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.local_features import extract, FeatureConfig, FeatureKind, Features
from vpr_ros.core.matching import matched
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.errors import MapError

KINDS = list(FeatureKind)


def texture(seed=0, width=320, height=240):
    """A picture full of corners: random blocks, blurred a little."""
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    big = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.GaussianBlur(big, (0, 0), 1.2)


def some(kind, count, seed=0):
    rng = np.random.default_rng(seed)
    return Features(kind, 64, 48, rng.uniform(0, 48, (count, 2)).astype(np.float32),
                    rng.integers(0, 255, (count, kind.bytes_each), np.uint8))


@pytest.mark.parametrize('kind', KINDS)
def test_a_textured_picture_has_features_within_it(kind):
    found = extract(texture(), FeatureConfig(kind, 200))
    assert 50 < len(found) <= 200
    assert (found.width, found.height) == (320, 240)
    assert found.points.min() >= 0
    assert (found.points < [320, 240]).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('image', [
    np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8),
    np.zeros((0, 0, 3), np.uint8), np.zeros((1, 1, 3), np.uint8),
    np.zeros((16, 2000, 3), np.uint8), np.zeros((16, 16, 3), np.uint8),
], ids=lambda image: str(image.shape))
def test_a_flat_or_tiny_picture_has_none(kind, image):
    assert len(extract(image, FeatureConfig(kind))) == 0


def test_a_large_picture_is_looked_at_in_a_bounded_size():
    found = extract(texture(width=1600, height=800), FeatureConfig(long_side_px=640))
    assert (found.width, found.height) == (640, 320)
    assert (found.points < [640, 320]).all()


def test_a_small_picture_is_not_enlarged():
    found = extract(texture(width=160, height=120), FeatureConfig())
    assert (found.width, found.height) == (160, 120)
    assert len(found) > 50


@pytest.mark.parametrize('kind', KINDS)
def test_threads_find_the_same(kind):
    images = [texture(seed) for seed in range(6)]
    alone = [extract(image, FeatureConfig(kind)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: extract(image, FeatureConfig(kind)), images))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.descriptors, other.descriptors)


@pytest.mark.parametrize('kind', KINDS)
def test_a_picture_matches_itself_row_by_row(kind):
    found = extract(texture(), FeatureConfig(kind))
    pairs = matched(found, found)
    assert len(pairs) > 0.5 * len(found)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])


def test_distances_are_those_of_the_bits():
    a, b = some(FeatureKind.ORB, 20), some(FeatureKind.ORB, 30, 1)
    b.descriptors[7] = a.descriptors[3]
    b.descriptors[7, 0] ^= 1
    assert [3, 7] in matched(a, b).tolist()


def test_matching_is_the_same_from_the_other_side_but_for_the_ratio():
    a, b = extract(texture(1), FeatureConfig()), extract(texture(1)[8:], FeatureConfig())
    there = set(map(tuple, matched(a, b).tolist()))
    back = {(i, j) for j, i in matched(b, a).tolist()}
    assert len(there & back) > 0.9 * max(len(there), len(back))


def test_two_kinds_cannot_be_compared():
    with pytest.raises(ValueError, match='orb and sift'):
        matched(some(FeatureKind.ORB, 3), some(FeatureKind.SIFT, 3))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(MapError, match='max_features'):
        FeatureConfig(max_features=0)


@given(st.sampled_from(KINDS), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_packing_loses_nothing(kind, counts):
    features = [some(kind, count, seed) for seed, count in enumerate(counts)]
    packed = PackedFeatures.pack(FeatureConfig(kind), features)
    assert len(packed) == len(counts)
    for row, one in enumerate(features):
        back = packed.of(row)
        assert (back.kind, back.width, back.height) == (kind, 64, 48)
        np.testing.assert_array_equal(back.points, one.points)
        np.testing.assert_array_equal(back.descriptors, one.descriptors)


def test_features_of_another_kind_are_not_packed():
    with pytest.raises(ValueError, match='not all local features are orb'):
        PackedFeatures.pack(FeatureConfig(), [some(FeatureKind.SIFT, 2)])


@pytest.mark.parametrize(('change', 'words'), [
    ({'ends': np.array([3, 2, 4])}, 'do not rise'),
    ({'ends': np.array([1, 2, 9])}, 'do not rise'),
    ({'ends': np.array([], np.int64)}, 'do not rise'),
    ({'sizes': np.zeros((3, 2), np.int32)}, 'sizes'),
    ({'points': np.zeros((4, 3), np.float32)}, 'do not fit'),
    ({'descriptors': np.zeros((4, 31), np.uint8)}, 'do not fit'),
    ({'points': np.zeros((4, 2))}, 'another type'),
])
def test_contradictions_of_packed_features_are_refused(change, words):
    whole = {'config': FeatureConfig(), 'ends': np.array([1, 2, 4]),
             'sizes': np.ones((3, 2), np.int32), 'points': np.zeros((4, 2), np.float32),
             'descriptors': np.zeros((4, 32), np.uint8)}
    PackedFeatures(**whole)
    with pytest.raises(ValueError, match=words):
        PackedFeatures(**{**whole, **change})
