# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.trials import apart, calibration_of, held_out, stretch_of, stretches, Trial
from vpr_ros.errors import MapError


def trials_of(count, seed=0, clear=2.0):
    """Every second frame is right, and its signs say so, by and large."""
    rng = np.random.default_rng(seed)
    return [Trial(row, Signs(1.0, 3.0, 0.2, (clear if row % 2 else -clear) + rng.normal()),
                  bool(row % 2), True, bool(row % 2)) for row in range(count)]


def columns(trials):
    return ([trial.signs for trial in trials],
            np.array([trial.right for trial in trials], dtype=bool))


@given(st.integers(0, 500), st.integers(1, 12))
def test_stretches_are_contiguous_and_hold_every_row_once(count, parts):
    cuts = stretches(count, parts)
    assert [row for cut in cuts for row in cut] == list(range(count))
    assert max(map(len, cuts)) - min(map(len, cuts)) <= 1
    assert all(row in cuts[stretch_of(row, cuts)] for row in range(count))


def test_no_stretch_is_judged_by_a_model_that_has_seen_it():
    trials = trials_of(200)
    cuts = stretches(200)
    honest = held_out(trials, *columns(trials), cuts)
    # Whatever is said of a stretch, and of the gap around it, does not depend on its own truth.
    gap = 4
    lied = [replace(trial, right=not trial.right)
            if trial.row in range(cuts[2].start - gap, cuts[2].stop + gap) else trial
            for trial in trials]
    judged = held_out(lied, *columns(lied), cuts)
    of_stretch = slice(cuts[2].start, cuts[2].stop)
    np.testing.assert_array_equal(judged[of_stretch], honest[of_stretch])
    assert not np.allclose(judged[:cuts[1].start], honest[:cuts[1].start])


def test_the_numbers_are_those_of_the_held_out_frames():
    trials = trials_of(400, clear=4.0)
    unseen = [replace(trial, signs=None, right=False) for trial in trials[:10]]
    found = calibration_of([*unseen, *trials[10:]], 400, 0.95, {'knob': 1}, 'a run', True)
    assert found.accepted - found.wrong == pytest.approx(195, abs=8)
    # Frames without a hypothesis have a match, too, and are not covered.
    assert found.coverage == pytest.approx((found.accepted - found.wrong) / 200, abs=0.01)
    assert (found.precision, found.settings, found.source) == (0.95, {'knob': 1}, 'a run')
    assert sum(found.reliability.count) == 390


def test_what_another_rule_refuses_is_neither_accepted_nor_covered():
    trials = [replace(trial, let_through=trial.row < 200) for trial in trials_of(400, clear=4.0)]
    found = calibration_of(trials, 400, 0.9, {}, '', True)
    assert found.accepted <= 105
    assert found.coverage < 0.55


def test_runs_that_only_fail_or_only_succeed_are_refused():
    trials = trials_of(100)
    with pytest.raises(MapError, match='none of 100 frames.*vpr evaluate'):
        calibration_of([replace(t, right=False) for t in trials], 100, 0.9, {}, '', True)
    with pytest.raises(MapError, match='not one hypothesis of 100 frames.*longer run'):
        calibration_of([replace(t, right=True) for t in trials], 100, 0.9, {}, '', True)


def test_frames_count_where_the_robot_has_moved_or_turned():
    xs = [0.0, 0.1, 0.2, 0.3, 0.55, 0.55, 0.55]
    yaws = [0.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.1]
    poses = np.stack([se3.from_xy_yaw(x, 0.0, yaw) for x, yaw in zip(xs, yaws, strict=True)])
    assert apart(poses, 1.0).tolist() == [True, False, False, True, True, False, True]
