# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import subprocess
import sys

import pytest

from vpr_ros.compress.prune_choice import choice
from vpr_ros.compress.prune_points import Point, Recalled

POINT = Point(0, 0.0, 0.0, 1000, 64, 1000, 1000, None,
              (Recalled('yard', True, 100, 0.90, 0.95, None, ''),
               Recalled('hall', False, 100, 0.90, 0.95, None, '')), None, {}, '')


def points(*at_1):
    """Return steps that recall so much of yard, and less and less of hall."""
    return [replace(POINT, step=step, sparsity=0.2 * step, recalls=(
        replace(POINT.recalls[0], at_1=value), replace(POINT.recalls[1], at_1=0.9 - 0.2 * step)))
        for step, value in enumerate(at_1)]


@pytest.mark.parametrize(('at_1', 'most', 'step', 'why'), [
    ((0.90, 0.80, 0.70), None, 2, 'as pruned as was asked for'),
    ((0.90, 0.895, 0.892), 1.0, 2, 'the smallest whose recall@1 fell by 1 points or less'),
    ((0.90, 0.895, 0.85), 1.0, 1, 'recall@1 of the next step fell by more than 1 points:'),
    ((0.90, 0.85, 0.895), 1.0, 2, 'the smallest whose'),
    ((0.90, 0.80), 1.0, 0, 'learn longer'),
    ((0.90, 0.89), 1.0, 1, 'the smallest')])   # just one point is no more than one
def test_the_smallest_that_recalls_enough_of_what_chooses(at_1, most, step, why):
    chosen, said = choice(points(*at_1), most)
    assert chosen.step == step
    assert why in said


def test_a_target_that_is_missed_for_recall_is_said():
    assert 'and the target is not met' in choice(points(0.9, 0.7), 1.0, asks=True)[1]
    assert 'target' not in choice(points(0.9, 0.7), 1.0)[1]


def test_choosing_needs_no_torch():
    code = 'import sys, vpr_ros.compress.prune_choice; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
