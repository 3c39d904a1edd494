# SPDX-License-Identifier: Apache-2.0
"""What people give to an evaluation by mistake, and what they are told."""

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import BagError, MapError
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.query_run import QuerySource, TruthFile

TOLERANCE = Tolerance(1.2, 45.0)


def evaluated(bag, road, describer, source=None):
    with Recording([bag]) as recording:
        return evaluate(recording, PlaceMap.load(road), describer, LocalizerConfig(),
                        source or QuerySource(), TOLERANCE)


def tum(path, xs, start_s=0.0, step_s=1.0, factor=1.0):
    """Write the true poses of a drive along x as TUM has them."""
    path.write_text(''.join(f'{start_s + row * step_s:.3f} {x * factor} 0 0 0 0 0 1\n'
                            for row, x in enumerate(xs)))
    return TruthFile(path)


def test_truth_from_a_file_is_as_good_as_from_the_bag(drive, halves, road, describer, tmp_path):
    xs = halves(10.3, 30.3)
    bag = drive('query', xs)
    of_bag = evaluated(bag, road, describer).report
    evaluation = evaluated(bag, road, describer, QuerySource(truth=tum(tmp_path / 'a.tum', xs)))
    for name in ('frames', 'recall_at_1', 'accepted', 'precision', 'coverage',
                 'position_error_m_median'):
        assert getattr(evaluation.report, name) == pytest.approx(getattr(of_bag, name))
    assert any('taken to be of base_link in the frame of the map, map' in remark
               for remark in evaluation.remarks)


def test_truth_in_another_frame_is_refused(drive, halves, road, describer, tmp_path):
    file = tum(tmp_path / 'a.tum', halves(10, 20))
    with pytest.raises(BagError, match='in frame utm, the map is in map'):
        evaluated(drive('query', halves(10, 20)), road, describer,
                  QuerySource(truth=TruthFile(file.path, 'utm')))
    with pytest.raises(BagError, match='gives poses in frame odom, the map is in map'):
        evaluated(drive('q2', halves(10, 20)), road, describer, QuerySource(pose='/odom'))


def test_truth_of_another_time_is_refused_before_anything_is_described(
        drive, halves, road, tmp_path):
    with pytest.raises(BagError, match='do not overlap in time'):
        evaluated(drive('query', halves(10, 20), start_s=5000.0), road, _NeverAsked(road),
                  QuerySource(truth=tum(tmp_path / 'a.tum', halves(10, 20))))


class _NeverAsked:
    def __init__(self, road):
        self.card = PlaceMap.load(road).card

    def describe(self, images):
        raise AssertionError('an image was described')


def test_poses_of_another_time_in_the_bag_say_both_spans(drive, halves, road, describer):
    with pytest.raises(BagError, match=r'none of the 20 images .* images from 0\.000 s to '
                                       r'19\.000 s, poses from 900\.000 s'):
        evaluated(drive('query', halves(10, 20), pose_delay_s=900.0), road, describer)


def test_truth_in_millimeters_is_recognized(drive, halves, road, describer, tmp_path):
    xs = halves(10.3, 30.3)
    evaluation = evaluated(drive('query', xs), road, describer,
                           QuerySource(truth=tum(tmp_path / 'mm.tum', xs, factor=1000.0)))
    assert evaluation.report.frames_with_match == 0
    assert any('seems to be in millimeters' in remark for remark in evaluation.remarks)


def test_degrees_are_recognized(drive, halves, road, describer, tmp_path):
    file = tmp_path / 'gps.tum'
    file.write_text(''.join(f'{row}.0 {48.1 + row * 4e-6:.7f} {11.5 + row * 4e-6:.7f} 0 0 0 0 1\n'
                            for row in range(40)))
    evaluation = evaluated(drive('query', halves(10.3, 30.3)), road, describer,
                           QuerySource(truth=TruthFile(file)))
    assert any('degrees of latitude and longitude' in remark for remark in evaluation.remarks)


def test_a_run_elsewhere_has_numbers_and_a_word(drive, halves, road, describer):
    evaluation = evaluated(drive('query', halves(4000, 4020)), road, describer)
    report = evaluation.report
    assert report.frames == 40
    assert report.frames_with_match == 0
    assert report.recall_at_1 is None
    assert report.coverage is None
    assert any('Or was this run elsewhere?' in remark for remark in evaluation.remarks)


def test_one_query_is_enough_for_numbers(drive, road, describer):
    report = evaluated(drive('query', [12.2]), road, describer).report
    assert report.frames == 1
    assert report.recall_at_1 == 1.0
    assert report.elapsed_s == 0.0


def test_poses_that_are_nan_are_named(road, describer, toy_picture, tmp_path):
    with BagWriter(tmp_path / 'nan') as bag:
        for row in range(6):
            pose = np.array([row, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
            if row == 3:
                pose[1] = np.nan
            bag.image('/image', row * 10**9, toy_picture(10.0 + row), 'eye')
            bag.pose_stamped('/pose', row * 10**9, pose)
    with pytest.raises(BagError, match=r'1 of 6 poses of /pose hold NaN.*the first at 3\.000 s'):
        evaluated(tmp_path / 'nan', road, describer)


def test_stamps_that_repeat_are_told_of(road, describer, toy_picture, tmp_path):
    with BagWriter(tmp_path / 'twice') as bag:
        for row in range(20):
            for _ in range(2):
                bag.image('/image', row * 10**9, toy_picture(10.0 + row), 'eye')
            bag.pose_stamped('/pose', row * 10**9, se3.from_xy_yaw(10.0 + row, 0.0, 0.0))
    evaluation = evaluated(tmp_path / 'twice', road, describer)
    assert evaluation.report.frames == 40
    assert any('20 of 40 images on /image have the stamp of another one' in remark
               for remark in evaluation.remarks)


def test_nobody_said_where_the_poses_are(drive, halves, describer, road, tmp_path):
    from dataclasses import replace
    bare = replace(PlaceMap.load(road), pose_source='')
    bare.save(tmp_path / 'bare.map')
    with pytest.raises(MapError, match='give --pose or --truth'):
        evaluated(drive('query', halves(10, 20)), tmp_path / 'bare.map', describer)
