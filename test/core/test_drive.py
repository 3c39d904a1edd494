# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.drive import drive_along, recording_starts
from vpr_ros.core.types import Trajectory


def along(xs, seconds=None, begins=()):
    truth = np.stack([se3.from_xy_yaw(x, 0.0, 0.0) for x in xs])
    stamps = np.arange(len(xs)) if seconds is None else np.array(seconds)
    flags = np.zeros(len(xs), bool)
    flags[list(begins)] = True
    return drive_along((stamps * 1e9).astype(np.int64), truth, flags)


def test_a_drive_by_hand():
    drive = along([0.0, 3.0, 3.0, 1.0], [10.0, 11.0, 12.0, 14.0])
    assert drive.driven_m.tolist() == [0, 3, 3, 5]
    assert drive.elapsed_s == pytest.approx([0, 1, 2, 4])
    assert (drive.length_m, drive.duration_s) == (5.0, 4.0)


def test_jitter_is_no_way_but_creeping_is():
    jitter = 0.04 * np.random.default_rng(0).uniform(-1, 1, 5000)
    assert along(jitter).length_m == 0.0
    creeping = along(np.linspace(0.0, 10.0, 1001)).length_m
    assert creeping == pytest.approx(10.0, abs=0.11)


def test_nobody_drives_between_two_recordings():
    drive = along([0, 1, 500, 502], [0, 1, 9000, 9002], begins=[2])
    assert drive.driven_m.tolist() == [0, 1, 1, 3]
    assert drive.elapsed_s == pytest.approx([0, 1, 1, 3])
    assert drive.recording.tolist() == [0, 0, 1, 1]


def test_time_does_not_run_backwards():
    assert along([0, 1, 2], [5.0, 4.0, 6.0]).elapsed_s == pytest.approx([0, 0, 2])


def test_nothing_is_no_drive():
    drive = drive_along(np.zeros(0, np.int64), np.zeros((0, 7)), np.zeros(0, bool))
    assert (drive.length_m, drive.duration_s) == (0.0, 0.0)


def test_recordings_start_at_the_frame_after_a_break():
    truth = Trajectory(np.array([0, 10, 100, 110]), np.tile(se3.IDENTITY, (4, 1)), 'map', (2,))
    assert recording_starts(truth, np.array([1, 9, 101, 105])) == [2]
    assert recording_starts(truth, np.array([101, 105])) == []
