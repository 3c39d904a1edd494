# SPDX-License-Identifier: Apache-2.0
"""The page says what to do next, and only when there is a reason."""

import numpy as np
import pytest

from vpr_ros.report.advice import advise
from vpr_ros.report.frame_table import REASONS

SETTINGS = {'map': 'my depot.map', 'bags': ['run 2'], 'odom': '/odom',
            'image': '/front/image_raw/compressed', 'calibrated': True}
MANY = 200


@pytest.fixture
def good(table):
    return table([True] * MANY, [True] * MANY, [True] * MANY)


def test_a_good_run_goes_to_the_robot(good):
    [one] = advise({'recall_at_1': 0.9}, SETTINGS, good)
    assert one.level == 'good'
    assert one.command == ("ros2 launch vpr_ros relocalize.launch.py map:='my depot.map' "
                           'image:=/front/image_raw odom:=/odom')


def test_a_run_that_was_mostly_silent_is_not_called_ready(table):
    accepted = [row < 20 for row in range(MANY)]
    frames = table(accepted, [True] * MANY, [True] * MANY)
    last = advise({'recall_at_1': 0.9}, SETTINGS, frames)[-1]
    assert last.level == 'good'
    assert 'would mostly hear nothing: 10% of the frames' in last.text


def test_wrong_poses_without_calibration_call_for_it(table):
    frames = table([True] * MANY, [row > 5 for row in range(MANY)], [True] * MANY)
    first = advise({}, {**SETTINGS, 'calibrated': False}, frames)[0]
    assert first.level == 'danger'
    assert '6 of 200 poses are wrong' in first.text
    assert first.command == "vpr calibrate 'my depot.map' --query 'run 2' --odom /odom"


def test_wrong_poses_with_calibration_call_for_a_higher_promise(table):
    frames = table([True] * MANY, [row > 5 for row in range(MANY)], [True] * MANY)
    first = advise({}, SETTINGS, frames)[0]
    assert first.command.endswith('--precision 0.999')


def test_a_robot_is_not_sent_off_with_wrong_poses(table):
    frames = table([True] * MANY, [row > 5 for row in range(MANY)], [True] * MANY)
    assert all(one.level != 'good' for one in advise({}, SETTINGS, frames))


def test_another_place_altogether_is_said_alone(table):
    [one] = advise({}, SETTINGS, table([False] * MANY, [False] * MANY, [False] * MANY))
    assert 'no place near the true position of any frame' in one.text


def test_low_recall_speaks_of_the_pictures(good):
    texts = ' '.join(one.text for one in advise({'recall_at_1': 0.41}, SETTINGS, good))
    assert 'The pictures alone find a right place for 41%' in texts


def test_silence_names_its_reason(table):
    frames = table([False] * MANY, [False] * MANY, [True] * MANY,
                   reason=np.full(MANY, REASONS.index('ambiguous'), np.uint8))
    texts = ' '.join(one.text for one in advise({'recall_at_1': 0.9}, {**SETTINGS, 'odom': ''},
                                                frames))
    assert 'the most frequent reason is "ambiguous"' in texts
    assert 'No odometry was used' in texts


@pytest.mark.parametrize(('report', 'said'), [
    ({'latency_ms_p95': 1500.0}, 'the node will drop frames'),
    ({'calibration_error': 0.3}, 'misses the truth by 0.30'),
    ({'frames_not_decoded': 3}, '3 images could not be decoded'),
    ({'frames_without_truth': 4}, '4 images were taken when no true pose is known')])
def test_a_number_that_calls_for_something(good, report, said):
    assert any(said in one.text for one in advise(report, SETTINGS, good))


def test_few_frames_are_rough(table):
    assert any('Only 5 frames' in one.text for one in advise(
        {}, SETTINGS, table([True] * 5, [True] * 5, [True] * 5)))
    first = advise({'recall_at_1': 1.0}, SETTINGS, table([False], [False], [True]))[0]
    assert 'Only one frame was judged' in first.text


def test_off_the_map_is_worth_a_drive(table):
    known = [row > 50 for row in range(MANY)]
    assert any('drive there while mapping' in one.text for one in advise(
        {}, SETTINGS, table(known, known, known)))
