# SPDX-License-Identifier: Apache-2.0
from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst
import numpy as np
import pytest

from vpr_ros.nets.array_code import (
    ArrayPlan,
    CodedArray,
    decode,
    encode,
    Kind,
    MAX_LEVELS,
    unsigned,
)

SPECIAL = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, 1.0],
                   np.float32)
FEW = st.integers(1, 300)


def bits(array):
    return np.ascontiguousarray(array).reshape(-1).view(unsigned(array.itemsize))


def shared(count, levels, zeros, seed=0):
    """Weights of `levels` values beside zero, of which a share is zero."""
    rng = np.random.default_rng(seed)
    book = np.sort(rng.normal(size=levels)).astype(np.float32)
    weights = book[rng.integers(0, levels, count)]
    weights[rng.random(count) < zeros] = 0.0
    return weights


@given(items=st.sampled_from(['<u1', '<u2', '<u4', '<u8']).flatmap(
    lambda kind: npst.arrays(kind, st.integers(1, 200))))
def test_any_array_comes_back(items):
    back = decode(encode(items))
    assert back.dtype == items.dtype
    np.testing.assert_array_equal(back, items)


@settings(max_examples=200)
@given(count=st.integers(1, 3000), levels=FEW, zeros=st.sampled_from([0.0, 0.3, 0.5, 0.99, 1.0]),
       kind=st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64]),
       seed=st.integers(0, 9))
def test_weights_that_share_values_come_back(count, levels, zeros, kind, seed):
    with np.errstate(over='ignore'):
        items = bits((100 * shared(count, levels, zeros, seed)).astype(kind))
    np.testing.assert_array_equal(decode(encode(items)), items)


@pytest.mark.parametrize('bits_each', range(1, 9))
@pytest.mark.parametrize('zeros', [0.0, 0.5, 0.9])
def test_every_number_of_bits_is_coded_by_a_codebook(bits_each, zeros):
    weights = bits(shared(5000, 2 ** bits_each - 1, zeros))
    coded = encode(weights)
    assert coded.plan.kind is (Kind.SPARSE if zeros >= 0.5 else Kind.DENSE)
    assert coded.plan.levels <= 2 ** bits_each
    np.testing.assert_array_equal(decode(coded), weights)


@given(where=st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_zeros_of_both_signs_and_what_is_not_finite_stay_what_they_are(where):
    items = bits(np.tile(SPECIAL[where], 7))
    np.testing.assert_array_equal(decode(encode(items)), items)


@given(gaps=st.lists(st.sampled_from([1, 2, 254, 255, 256, 509, 510, 511, 70_000]), min_size=1,
                     max_size=8), tail=st.integers(0, 600))
def test_long_gaps_are_walked_in_strides(gaps, tail):
    places = np.cumsum(gaps) - 1
    items = np.zeros(int(places[-1]) + 1 + tail, np.float32)
    items[places] = np.arange(len(places)) % 2 + 1
    coded = encode(bits(items))
    np.testing.assert_array_equal(decode(coded), bits(items))
    if coded.plan.kind is Kind.SPARSE:
        assert coded.plan.steps == sum((gap + 254) // 255 for gap in gaps)


def test_steps_across_the_blocks_that_are_decoded_at_once(monkeypatch):
    monkeypatch.setattr('vpr_ros.nets.array_code._BLOCK', 16)
    items = np.zeros(40_000, np.float32)
    items[[*range(0, 100, 3), 5_000, 5_001, 39_000]] = 1.5
    items[7] = -2.0
    coded = encode(bits(items))
    assert coded.plan.kind is Kind.SPARSE
    np.testing.assert_array_equal(decode(coded), bits(items))


@pytest.mark.parametrize('value', [0.0, -0.0, 1.0, np.nan])
def test_equal_values_take_no_indices(value):
    items = bits(np.full(1000, value, np.float32))
    coded = encode(items)
    assert (coded.plan.kind, coded.plan.levels, coded.symbols.size) == (Kind.DENSE, 1, 0)
    np.testing.assert_array_equal(decode(coded), items)


@pytest.mark.parametrize(('levels', 'kind'), [
    (MAX_LEVELS, Kind.DENSE), (MAX_LEVELS + 1, Kind.PLAIN)])
def test_more_values_than_indices_tell_are_stored_whole(levels, kind):
    items = bits(np.arange(10 * levels, dtype=np.float32) % levels + 1.0)
    coded = encode(items)
    assert coded.plan.kind is kind
    np.testing.assert_array_equal(decode(coded), items)


def test_a_value_that_comes_late_is_found(monkeypatch):
    monkeypatch.setattr('vpr_ros.nets.array_code._BLOCK', 4096)
    items = np.ones(20_000, np.float32)
    items[-1] = 2.0
    coded = encode(bits(items))
    assert coded.plan.levels == 2
    np.testing.assert_array_equal(decode(coded), bits(items))


def test_layers_are_alike_around_zero():
    """Zero is index 0, and small weights are near it on both sides, however many there are."""
    few, many = (encode(bits(np.array([*range(-k, k + 1)] * 9, np.float32))) for k in (3, 90))
    for coded in (few, many):
        shown = coded.symbols.astype(np.int8)[:]
        assert {1, -1, 2, -2, 3, -3} <= set(shown.tolist())
        assert shown.min() == -shown.max()


@pytest.mark.parametrize('change', [
    {'item_bytes': 3}, {'count': 0}, {'levels': 0}, {'levels': MAX_LEVELS + 1}, {'zero': 7},
    {'values': 5000}, {'values': -1}, {'steps': 0}, {'steps': 5000}])
def test_sizes_that_cannot_be_are_refused(change):
    plan = encode(bits(shared(1000, 5, 0.6))).plan
    assert plan.kind is Kind.SPARSE
    with pytest.raises(ValueError, match='array'):
        replace(plan, **change)


def test_a_whole_array_has_no_codebook():
    with pytest.raises(ValueError, match='cannot be'):
        ArrayPlan(4, 10, Kind.PLAIN, levels=3)


@given(data=st.data())
def test_steps_that_lead_elsewhere_are_refused_or_stay_inside(data):
    items = bits(shared(2000, 7, 0.8))
    coded = encode(items)
    steps = coded.steps.copy()
    at = data.draw(st.integers(0, len(steps) - 1))
    steps[at] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert decode(replace_steps(coded, steps)).shape == items.shape


def test_steps_that_lead_outside_are_refused():
    coded = encode(bits(shared(2000, 7, 0.8)))
    with pytest.raises(ValueError, match='outside their array'):
        decode(replace_steps(coded, np.full_like(coded.steps, 255)))
    with pytest.raises(ValueError, match='fewer values'):
        decode(replace_steps(coded, np.zeros_like(coded.steps)[:3]))


def replace_steps(coded: CodedArray, steps: np.ndarray) -> CodedArray:
    return replace(coded, steps=steps)
