# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import block_bootstrap
from vpr_ros.core.block_bootstrap import (
    Blocks,
    blocks_of,
    Bootstrap,
    median_interval,
    share_intervals,
)
from vpr_ros.core.drive import Drive
from vpr_ros.errors import VprError

MANY = Bootstrap(resamples=4000)


def drive(driven_m, recording=None):
    driven = np.array(driven_m, dtype=np.float64)
    return Drive(driven, np.arange(len(driven), dtype=np.float64),
                 np.zeros(len(driven), int) if recording is None else np.array(recording))


def even(frames, blocks):
    return Blocks(np.arange(frames) * blocks // frames, blocks, 1.0)


def share(bootstrap, blocks, hits, among=None):
    among = np.ones(len(hits), bool) if among is None else among
    return share_intervals(bootstrap, blocks, {'it': (hits, among)})['it']


def test_stretches_by_hand():
    blocks = blocks_of(drive([0, 3, 9, 10, 19, 35, 36]), 10.0)
    assert blocks.of.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert blocks.count == 3
    # The second recording begins anew, at 12 m.
    blocks = blocks_of(drive([0, 3, 12, 12, 21, 23], [0, 0, 0, 1, 1, 1]), 10.0)
    assert blocks.of.tolist() == [0, 0, 1, 2, 2, 3]
    assert blocks_of(drive([0, 3, 3, 5], [0, 0, 1, 1]), 10.0).of.tolist() == [0, 0, 1, 1]


def test_standing_still_is_one_stretch():
    assert blocks_of(drive([0.0] * 1000), 4.0).count == 1
    assert blocks_of(drive([]), 4.0).count == 0


@pytest.mark.parametrize(('driven_m', 'length_m'), [
    (10_000.0, 40.0),   # twenty tolerances
    (120.0, 10.0),      # a twelfth of the drive
    (30.0, 4.0),        # two tolerances
])
def test_the_length_of_a_stretch(driven_m, length_m):
    assert Bootstrap().length_m(drive([0.0, driven_m]), 2.0) == length_m
    assert Bootstrap(block_m=7.0).length_m(drive([0.0, driven_m]), 2.0) == 7.0


def test_of_independent_frames_it_is_the_binomial_interval():
    hits = np.random.default_rng(1).random(2000) < 0.7
    low, high = share(MANY, even(2000, 2000), hits)
    p = hits.mean()
    half = 1.96 * np.sqrt(p * (1 - p) / 2000)
    assert (low, high) == pytest.approx((p - half, p + half), abs=0.003)


def test_frames_that_go_together_count_once():
    # Ten stretches of 100 equal frames say as much as ten frames.
    hits = np.repeat([1, 0, 1, 1, 0, 1, 1, 1, 0, 1], 100).astype(bool)
    wide = share(MANY, even(1000, 10), hits)
    assert wide == share(MANY, even(10, 10), hits[::100])
    narrow = share(MANY, even(1000, 1000), hits)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_stretches_are_honest_where_frames_are_not():
    """A run whose success comes and goes: how often is the true share in the interval?"""
    rng = np.random.default_rng(0)
    quick, held = Bootstrap(resamples=300), {25: 0, 1: 0}
    for _ in range(150):
        # Success lasts 20 frames in the mean, failure 10: the true share is 2/3.
        hits = np.empty(1500, bool)
        state = rng.random() < 2 / 3
        for frame, chance in enumerate(rng.random(1500)):
            state = chance >= 1 / 20 if state else chance < 1 / 10
            hits[frame] = state
        for length in held:
            low, high = share(quick, even(1500, 1500 // length), hits)
            held[length] += low <= 2 / 3 <= high
    assert held[25] / 150 > 0.85
    assert held[1] / 150 < 0.6


def test_nothing_wrong_is_not_certainty():
    # Twenty of twenty: at least .8316 with 97.5 % confidence (Clopper and Pearson).
    assert share(MANY, even(20, 20), np.ones(20, bool)) == pytest.approx((0.8316, 1.0), abs=1e-4)
    assert share(MANY, even(20, 20), np.zeros(20, bool)) == pytest.approx((0, 0.1684), abs=1e-4)
    # Stretches where nothing was accepted show nothing.
    assert share(MANY, even(40, 40), np.ones(40, bool), np.arange(40) < 20) == pytest.approx(
        (0.8316, 1.0), abs=1e-4)


def test_few_stretches_have_no_interval():
    assert share(MANY, even(100, 4), np.arange(100) % 2 == 0) is None
    assert share(MANY, even(100, 5), np.arange(100) % 3 == 0) is not None
    # Those where nothing was accepted do not count.
    assert share(MANY, even(100, 10), np.arange(100) % 2 == 0, np.arange(100) < 40) is None
    assert share(MANY, even(100, 10), np.zeros(100, bool), np.zeros(100, bool)) is None
    assert share(MANY, Blocks(np.zeros(0, int), 0, 1.0), np.zeros(0, bool)) is None
    assert median_interval(MANY, even(9, 9), np.arange(9.0), np.arange(9) < 4) is None


@given(st.integers(5, 12), st.integers(0, 10**6))
@settings(max_examples=30)
def test_medians_as_repeating_the_rows(count, seed):
    """The weights of the stretches stand for copies of their frames."""
    rng = np.random.default_rng(seed)
    blocks = Blocks(np.sort(np.concatenate([np.arange(count), rng.integers(count, size=20)])),
                    count, 1.0)
    values = rng.choice([0.1, 0.5, 0.5, 2.0, 7.0], len(blocks.of)) + rng.random()
    among = rng.random(len(values)) < 0.8
    for row in range(count):
        among[np.flatnonzero(blocks.of == row)[0]] = True
    one = Bootstrap(resamples=40, seed=seed)
    medians = []
    for weights in block_bootstrap._weights(one, blocks, count):
        medians += [np.median(np.repeat(values[among], row[blocks.of[among]].astype(int)))
                    for row in weights]
    assert len(medians) == 40
    assert median_interval(one, blocks, values, among) == pytest.approx(
        tuple(np.quantile(medians, [0.025, 0.975])))


@given(st.integers(1, 10**6), st.integers(5, 60), st.floats(0.05, 0.95))
@settings(max_examples=30)
def test_the_estimate_is_inside(seed, count, chance):
    rng = np.random.default_rng(seed)
    hits = rng.random(300) < chance
    low, high = share(Bootstrap(seed=seed), even(300, count), hits)
    assert 0.0 <= low <= hits.mean() <= high <= 1.0


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    blocks, values = even(400, 40), rng.random(400)
    hits, among = values < 0.5, np.ones(400, bool)
    whole = (share(MANY, blocks, hits), median_interval(MANY, blocks, values, among))
    monkeypatch.setattr(block_bootstrap, '_CELLS', 3000)
    assert (share(MANY, blocks, hits), median_interval(MANY, blocks, values, among)) == whole


def test_the_seed_decides():
    hits = np.random.default_rng(0).random(300) < 0.5
    blocks = even(300, 30)
    assert share(Bootstrap(seed=1), blocks, hits) == share(Bootstrap(seed=1), blocks, hits)
    assert share(Bootstrap(seed=1), blocks, hits) != share(Bootstrap(seed=2), blocks, hits)


@pytest.mark.parametrize('wrong', [{'resamples': 0}, {'confidence': 1.0}, {'block_m': -1.0},
                                   {'block_m': float('nan')}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(VprError, match='a bootstrap needs'):
        Bootstrap(**wrong)
