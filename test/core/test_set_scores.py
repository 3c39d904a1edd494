# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.set_scores import score_set
from vpr_ros.errors import VprError


def test_scores_of_a_case_counted_by_hand():
    # Right at once, right at the sixth, off the map, wrong.
    places = np.tile(np.arange(20), (4, 1))
    similarity = np.array([0.9, 0.8, 0.7, 0.6], np.float32)[:, None].repeat(20, axis=1)
    scores = score_set(places, similarity, [(0, 7), (5,), (), (30,)])
    assert (scores.queries, scores.queries_with_match) == (4, 3)
    assert scores.recall_at_1 == pytest.approx(1 / 3)
    assert scores.recall_at_5 == pytest.approx(1 / 3)
    assert scores.recall_at_10 == scores.recall_at_20 == pytest.approx(2 / 3)
    assert scores.recall_at_1_of_all == pytest.approx(1 / 4)
    assert scores.recall_at_20_of_all == pytest.approx(2 / 4)
    assert scores.recall_at_full_precision == pytest.approx(1 / 3)
    # One step of recall, from precision 1 to precision 1.
    assert scores.average_precision == pytest.approx(1 / 3)
    assert scores.recall_at_1_interval is None, 'four stretches say nothing about scatter'


def test_a_set_without_positives_has_counts_and_no_shares():
    scores = score_set(np.zeros((3, 1), np.int64), np.ones((3, 1), np.float32), [(), (), ()])
    assert scores.queries == 3
    assert scores.queries_with_match == 0
    assert scores.recall_at_1 is scores.pr_area is scores.recall_at_1_interval is None
    assert scores.recall_at_1_of_all == 0.0


def test_one_query_is_scored():
    scores = score_set(np.array([[4]]), np.array([[0.5]], np.float32), [(4,)])
    assert scores.recall_at_1 == scores.recall_at_20 == 1.0
    assert scores.recall_at_1_interval is None


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(VprError, match='1 answers, 1 similarities and 2 queries do not fit'):
        score_set(np.array([[4]]), np.array([[0.5]], np.float32), [(4,), ()])


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(0, 99))
def test_shares_are_those_of_a_plain_count(queries, seed):
    rng = np.random.default_rng(seed)
    places = np.stack([rng.permutation(30)[:20] for _ in range(queries)])
    positives = [tuple(rng.permutation(30)[:rng.integers(0, 3)].tolist()) for _ in range(queries)]
    similarity = -np.sort(rng.random((queries, 20)).astype(np.float32), axis=1)
    scores = score_set(places, similarity, positives)
    for n in (1, 5, 10, 20):
        hits = [bool(set(row[:n].tolist()) & set(wanted))
                for row, wanted in zip(places, positives, strict=True)]
        assert getattr(scores, f'recall_at_{n}_of_all') == pytest.approx(sum(hits) / queries)
        among = [hit for hit, wanted in zip(hits, positives, strict=True) if wanted]
        share = getattr(scores, f'recall_at_{n}')
        assert share == (pytest.approx(sum(among) / len(among)) if among else None)
    if scores.recall_at_1_interval is not None:
        low, high = scores.recall_at_1_interval
        assert 0.0 <= low <= high <= 1.0
