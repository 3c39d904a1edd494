# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.evidence import evidence_of, EvidenceConfig
from vpr_ros.errors import MapError

CONFIG = EvidenceConfig()
UNBOUNDED = replace(CONFIG, max_evidence=100.0, min_evidence=-100.0)
SIMILARITIES = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize('sharpness', [0.5, 1.0, 1.5])
def test_off_the_map_no_place_gains_by_chance(sharpness):
    """The mean likelihood ratio over the places is 1 where similarities are mere chance."""
    config = replace(UNBOUNDED, sharpness=sharpness, doubt=0.0)
    rng = np.random.default_rng(0)
    ratios = [np.exp(evidence_of(config, rng.normal(0.1, 0.05, 2000))).mean() for _ in range(50)]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


def test_evidence_is_the_deviation_times_the_sharpness():
    """Worked by hand: mean 0.2, deviation 0.4, so z is -0.5 and 2."""
    similarity = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    config = replace(UNBOUNDED, sharpness=2.0, doubt=0.5)
    np.testing.assert_allclose(evidence_of(config, similarity), [-3.5] * 4 + [1.5])


@given(SIMILARITIES, st.floats(1.0, 5.0), st.floats(-0.5, 0.5))
def test_light_that_dims_all_similarities_changes_nothing(similarity, factor, shift):
    if similarity.std() < 0.05:
        similarity = np.append(similarity, [-1.0, 1.0])
    np.testing.assert_allclose(evidence_of(CONFIG, factor * similarity + shift),
                               evidence_of(CONFIG, similarity), atol=1e-6)


@given(SIMILARITIES)
def test_evidence_is_bounded(similarity):
    evidence = evidence_of(CONFIG, similarity)
    assert evidence.shape == similarity.shape
    assert (evidence <= CONFIG.max_evidence).all()
    assert (evidence >= CONFIG.min_evidence).all()


@given(SIMILARITIES, st.floats(0.001, 1.0), st.data())
def test_a_place_that_looks_more_alike_gains(similarity, more, data):
    place = data.draw(st.integers(0, len(similarity) - 1))
    raised = similarity.copy()
    raised[place] += more
    assert evidence_of(CONFIG, raised)[place] >= evidence_of(CONFIG, similarity)[place] - 1e-9


@settings(max_examples=30)
@given(SIMILARITIES.flatmap(lambda s: st.tuples(st.just(s), st.permutations(range(len(s))))))
def test_the_order_of_places_does_not_matter(drawn):
    similarity, order = drawn
    np.testing.assert_allclose(evidence_of(CONFIG, similarity[order]),
                               evidence_of(CONFIG, similarity)[order], atol=1e-9)


@pytest.mark.parametrize('similarity', [[0.9], [0.3] * 5, [0.3, 0.3001, 0.2999, 0.3]])
def test_a_view_that_resembles_all_places_alike_speaks_for_none(similarity):
    assert evidence_of(CONFIG, np.array(similarity)).max() < 0.0


def test_a_second_place_that_looks_the_same_takes_from_the_first():
    rest = np.random.default_rng(1).normal(0.0, 0.1, 10)
    alone, twins = np.append(rest, [0.0, 1.0]), np.append(rest, [1.0, 1.0])
    assert evidence_of(UNBOUNDED, twins)[-1] < evidence_of(UNBOUNDED, alone)[-1]


def test_doubt_speaks_against_every_place():
    similarity = np.random.default_rng(2).normal(size=20)
    less, more = (evidence_of(replace(UNBOUNDED, doubt=doubt), similarity) for doubt in (0.1, 0.4))
    np.testing.assert_allclose(less - more, 0.3)


@pytest.mark.parametrize('wrong', [{'sharpness': 0.0}, {'doubt': -1.0}, {'min_evidence': 1.0},
                                   {'max_evidence': -0.1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(MapError, match=next(iter(wrong))):
        EvidenceConfig(**wrong)
