# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields, replace
import json

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.confidence import Confidence, fit, reliability, Signs
from vpr_ros.errors import MapError

NAMES = [field.name for field in fields(Signs)]
ANY = st.floats(-1e6, 1e6)
SIGNS = st.builds(Signs, ANY, ANY, ANY, ANY, st.floats(0.0, 20.0))
WEIGHT = st.floats(0.0, 50.0)
MODELS = st.builds(Confidence, st.floats(-20, 20), WEIGHT, WEIGHT, WEIGHT, WEIGHT, WEIGHT)
TRUTH = Confidence(bias=-1.0, odds=0.5, margin=0.2, support=2.0, fit=0.3, agreement=0.4)


def drawn(count: int, seed: int = 0) -> tuple[list[Signs], np.ndarray]:
    """Signs at random, and how often they are right by TRUTH."""
    rng = np.random.default_rng(seed)
    signs = [Signs(*row) for row in np.column_stack([
        rng.uniform(-5, 5, count), rng.uniform(0, 15, count), rng.uniform(-0.3, 1, count),
        rng.uniform(-2, 4, count), rng.uniform(0, 5, count)])]
    return signs, rng.uniform(size=count) < TRUTH.probabilities(signs)


@given(MODELS, SIGNS)
def test_a_probability_is_one_whatever_speaks(model, signs):
    assert 0.0 <= model.probability(signs) <= 1.0


@given(SIGNS, st.sampled_from(NAMES), st.floats(0.0, 1e6),
       st.one_of(MODELS, st.just(Confidence())))
def test_more_of_any_sign_never_lowers_the_probability(signs, name, more, model):
    raised = replace(signs, **{name: getattr(signs, name) + more})
    assert model.probability(raised) >= model.probability(signs)


def test_the_probability_is_the_logistic_of_the_weighted_signs():
    """Worked by hand: -1 + 0.5 * 2 + 0.2 * 5 = 1."""
    model = Confidence(-1.0, 0.5, 0.2, 0.0, 0.0, 0.0)
    assert model.probability(Signs(2.0, 5.0, 9.0, 9.0)) == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_fit_finds_the_model_that_drew():
    signs, right = drawn(20_000)
    found = fit(signs, right)
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=0.15, abs=0.03)
    assert found.bias == pytest.approx(TRUTH.bias, abs=0.2)
    assert reliability(found.probabilities(signs), right).error < 0.02


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_no_weight_is_ever_negative(seed, count):
    """Also where a sign is at odds with the truth, or there is next to nothing to learn from."""
    rng = np.random.default_rng(seed)
    signs = [Signs(*row) for row in rng.normal(size=(count, 5)) * [3, 5, 1, 2, 0]]
    right = rng.uniform(size=count) < 0.5
    right[:2] = True, False
    found = fit(signs, right)
    for name in NAMES:
        assert getattr(found, name) >= 0.0
    assert np.isfinite(found.bias)


def test_a_sign_that_speaks_for_the_wrong_ones_is_not_listened_to():
    signs, right = drawn(2000)
    turned = [replace(sign, fit=-5.0 * r) for sign, r in zip(signs, right, strict=True)]
    assert fit(turned, right).fit == 0.0


def test_a_sign_that_never_changes_gets_no_weight():
    signs, right = drawn(500)
    same = [replace(sign, agreement=0.0) for sign in signs]
    assert fit(same, right).agreement == 0.0


def test_runs_that_a_line_separates_give_finite_weights():
    signs = [Signs(odds, 0.0, 0.0, 0.0) for odds in np.linspace(-5, 5, 100)]
    found = fit(signs, np.linspace(-5, 5, 100) > 0.0)
    assert found.probability(signs[-1]) > 0.99
    assert found.odds < 1000.0


@pytest.mark.parametrize('right', [True, False])
@pytest.mark.parametrize('count', [0, 1, 50])
def test_hypotheses_of_one_kind_are_refused(right, count):
    with pytest.raises(MapError, match='right and some that were wrong'):
        fit([Signs(1.0, 1.0, 1.0, 1.0)] * count, np.full(count, right))


def test_the_same_is_fitted_twice():
    assert fit(*drawn(400)) == fit(*drawn(400))


def test_a_model_comes_back_through_its_record():
    assert Confidence.from_record(json.loads(json.dumps(TRUTH.record()))) == TRUTH


@pytest.mark.parametrize('change', [{'odds': -0.1}, {'bias': float('nan')},
                                    {'support': float('inf')}])
def test_weights_that_make_no_sense_are_refused(change):
    with pytest.raises(MapError, match=r'negative or no number.*vpr calibrate'):
        Confidence.from_record({**TRUTH.record(), **change})


@pytest.mark.parametrize('record', [{}, {'bias': 1.0}, {**TRUTH.record(), 'color': 1.0}])
def test_a_record_of_another_version_is_refused(record):
    with pytest.raises(MapError, match=r'not of this version.*vpr calibrate'):
        Confidence.from_record(record)


def test_reliability_by_hand():
    """Two bins: said 0.85, true 0.5 (n = 4); said 0.15, true 0 (n = 2)."""
    diagram = reliability(np.array([0.82, 0.84, 0.86, 0.88, 0.1, 0.2 - 1e-9]),
                          np.array([1, 1, 0, 0, 0, 0], bool))
    assert diagram.count == (0, 2, 0, 0, 0, 0, 0, 0, 4, 0)
    assert diagram.said[8] == pytest.approx(0.85)
    assert diagram.true[8] == pytest.approx(0.5)
    assert diagram.error == pytest.approx((4 * 0.35 + 2 * 0.15) / 6)


def test_the_ends_belong_to_the_outer_bins():
    diagram = reliability(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]))
    assert (diagram.count[0], diagram.count[-1], diagram.error) == (1, 2, 0.0)


def test_nothing_has_no_error():
    assert reliability(np.zeros(0), np.zeros(0, bool)).error == 0.0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=80))
def test_the_error_lies_between_zero_and_one(frames):
    probability, right = np.array([p for p, _ in frames]), np.array([r for _, r in frames])
    diagram = reliability(probability, right)
    assert sum(diagram.count) == len(frames)
    assert 0.0 <= diagram.error <= 1.0


def test_reliability_agrees_with_another_implementation():
    calibration = pytest.importorskip('sklearn.calibration')
    rng = np.random.default_rng(3)
    probability = rng.uniform(size=1000) ** 0.3
    right = rng.uniform(size=1000) < probability ** 2
    diagram = reliability(probability, right)
    true, said = calibration.calibration_curve(right, probability, n_bins=10)
    filled = np.array(diagram.count) > 0
    np.testing.assert_allclose(np.array(diagram.true)[filled], true)
    np.testing.assert_allclose(np.array(diagram.said)[filled], said)


def test_fit_agrees_with_another_implementation():
    linear = pytest.importorskip('sklearn.linear_model')
    signs, right = drawn(3000, seed=1)
    values = np.array([sign.values() for sign in signs])
    theirs = linear.LogisticRegression(C=1e6, max_iter=2000).fit(values, right)
    np.testing.assert_allclose(fit(signs, right).probabilities(signs),
                               theirs.predict_proba(values)[:, 1], atol=0.02)
