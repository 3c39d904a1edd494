# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import map_setting
from vpr_ros.core.map_setting import EncodedMap, MapPrecision, MapSetting, Reduction
from vpr_ros.errors import VprError


def unit(count, dim, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(1, 70), st.integers(1, 30), st.integers(2, 12), st.integers(1, 25),
       st.integers(0, 99))
def test_the_search_is_exact_however_it_is_cut(places, queries, dim, count, seed):
    mapped, asked = unit(places, dim, seed), unit(queries, dim, seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_setting, '_PLACES', 13)
        patch.setattr(map_setting, '_CELLS', 40)
        found, values = EncodedMap(mapped, MapSetting()).search(asked, count)
    similarity = asked @ mapped.T
    k = min(count, places)
    assert found.shape == values.shape == (queries, k)
    assert values == pytest.approx(-np.sort(-similarity, axis=1)[:, :k], abs=1e-6)
    assert np.take_along_axis(similarity, found, axis=1) == pytest.approx(values, abs=1e-6)
    assert all(len(set(row)) == k for row in found.tolist())


def test_of_equals_the_earlier_place_comes_first(monkeypatch):
    monkeypatch.setattr(map_setting, '_PLACES', 4)
    mapped = np.tile(unit(1, 8), (11, 1))
    found, _ = EncodedMap(mapped, MapSetting()).search(mapped[:2], 3)
    assert found.tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(('precision', 'bytes_a_number', 'error'), [
    (MapPrecision.FP32, 4, 1e-6), (MapPrecision.FP16, 2, 1e-3), (MapPrecision.INT8, 1, 2e-2)])
def test_fewer_bits_cost_little_and_save_what_they_say(precision, bytes_a_number, error):
    mapped, asked = unit(60, 64), unit(9, 64, 1)
    encoded = EncodedMap(mapped, MapSetting(precision))
    found, values = encoded.search(asked, 60)
    true = np.take_along_axis(asked @ mapped.T, found, axis=1)
    assert np.abs(values - true).max() < error
    extra = 2 * 64 * 4 if precision is MapPrecision.INT8 else 0
    assert encoded.nbytes == 60 * 64 * bytes_a_number + extra


def test_a_dimension_that_never_changes_is_kept_in_int8():
    mapped = unit(5, 6)
    mapped[:, 2] = 0.25
    _, values = EncodedMap(mapped, MapSetting(MapPrecision.INT8)).search(np.eye(6)[2:3]
                                                                         .astype(np.float32), 5)
    assert values == pytest.approx(np.full((1, 5), 0.25), abs=1e-6)


@pytest.mark.parametrize('places', [30, 8])
def test_pca_keeps_what_lies_in_few_directions(places):
    axes = unit(3, 20, 5)
    mapped = np.random.default_rng(0).normal(size=(places, 3)).astype(np.float32) @ axes
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    encoded = EncodedMap(mapped, MapSetting(dims=3))
    assert encoded.dim == 3
    found, values = encoded.search(mapped, 1)
    assert found[:, 0].tolist() == list(range(places))
    assert values == pytest.approx(np.ones((places, 1)), abs=1e-4)


def test_pca_is_that_of_an_independent_implementation():
    mapped = unit(40, 12, 3) + np.float32(0.1)
    short = EncodedMap(mapped, MapSetting(dims=4)).reduce(mapped)
    centered = mapped - mapped.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    wanted = centered @ axes[:4].T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert short @ short.T == pytest.approx(wanted @ wanted.T, abs=1e-4)


def test_truncation_takes_the_first_dimensions():
    mapped = unit(4, 8)
    short = EncodedMap(mapped, MapSetting(dims=2, reduction=Reduction.TRUNCATE)).reduce(mapped)
    assert short == pytest.approx(
        mapped[:, :2] / np.linalg.norm(mapped[:, :2], axis=1, keepdims=True))


@pytest.mark.parametrize('text', ['fp32', 'fp16 pca 256', 'int8 truncate 8'])
def test_settings_are_written_as_they_are_typed(text):
    assert str(MapSetting.parse(text)) == str(MapSetting.parse(text.replace(' ', ':'))) == text


@pytest.mark.parametrize('text', ['', 'fp8', 'int8 256', 'int8 pca x', 'fp16 lda 3', 'fp32 a b c'])
def test_settings_that_are_none_are_refused(text):
    with pytest.raises(VprError, match='is no setting of a map; give fp32, fp16 or int8'):
        MapSetting.parse(text)


def test_dimensions_that_are_not_there_are_refused():
    with pytest.raises(VprError, match='9 dimensions cannot be kept of 8'):
        EncodedMap(unit(20, 8), MapSetting(dims=9))
    with pytest.raises(VprError, match='a PCA of 5 places has at most 4 dimensions'):
        EncodedMap(unit(5, 8), MapSetting(dims=5))
    with pytest.raises(VprError, match='0 dimensions cannot be searched'):
        MapSetting(dims=0)
