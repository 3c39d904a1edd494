# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.errors import BagError, MapError, VprError
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.write_evaluation import write_evaluation

CONFIG, TOLERANCE = LocalizerConfig(), Tolerance(1.2, 45.0)


def evaluated(bags, road, describer, source=None):
    with Recording(bags) as recording:
        return evaluate(recording, PlaceMap.load(road), describer, CONFIG,
                        source or QuerySource(odom='/odom'), TOLERANCE)


def test_a_second_run_is_found(drive, halves, road, describer):
    report = evaluated([drive('query', halves(10.3, 40))], road, describer).report
    assert report.frames == 60
    assert report.recall_at_1 > 0.95
    assert report.wrong_fixes == 0
    assert report.coverage > 0.7
    assert report.position_error_m_median < 1.0


def test_where_the_map_ends_there_is_silence(drive, halves, road, describer):
    """What comes next still looks a little like the last place; farther out no pose leaves."""
    evaluation = evaluated([drive('query', halves(40, 90))], road, describer)
    end_m = PlaceMap.load(road).poses[-1, 0]
    beyond_m = [frame.truth[0] - end_m for frame in evaluation.frames if frame.outcome.accepted]
    assert sum(m <= 0.0 for m in beyond_m) > 10
    # It stands for half a meter around it; one place beyond that, a meter, and none farther.
    assert max(beyond_m) <= 1.5
    assert evaluation.report.frames_with_match < evaluation.report.frames


def test_topics_default_to_those_of_the_map(drive, halves, road, describer):
    bag = drive('query', halves(10, 30))
    named = QuerySource('/image', '/pose', '/odom', 'camera')
    a, b = (evaluated([bag], road, describer, s).report for s in (None, named))
    assert a.recall_at_1 == b.recall_at_1
    assert a.accepted == b.accepted


def test_the_files_say_it_all(drive, halves, road, describer, tmp_path):
    bag, out = drive('query', halves(10, 30), spoil={5}), tmp_path / 'eval'
    evaluation = write_evaluation([bag], road, out, describer, CONFIG,
                                  QuerySource(odom='/odom'), TOLERANCE, False, False,
                                  'by hand')
    report = json.loads((out / 'report.json').read_text())
    assert {'frames', 'frames_with_match', 'recall_at_1', 'recall_at_5', 'recall_at_10',
            'accepted', 'wrong_fixes', 'precision', 'coverage', 'position_error_m_median',
            'heading_error_deg_median', 'latency_ms_p50', 'latency_ms_p95'} <= set(report)
    assert report['frames_not_decoded'] == 1
    lines = [json.loads(line) for line in (out / 'outcomes.jsonl').read_text().splitlines()]
    assert len(lines) == report['frames'] == 39
    assert sum(line['reason'] == 'accepted' for line in lines) == report['accepted']
    assert lines[10]['position_error_m'] == pytest.approx(
        evaluation.frames[10].errors()[0], abs=1e-3)
    settings = json.loads((out / 'settings.json').read_text())
    assert settings['engine'] == 'by hand'
    assert settings['odom'] == '/odom'
    assert settings['image'] == '/image'
    assert settings['confirm_steps'] == CONFIG.confirm_steps
    with pytest.raises(VprError, match='exists already'):
        write_evaluation([bag], road, out, describer, CONFIG, QuerySource(), TOLERANCE, False,
                         False)


def test_frames_without_truth_are_not_judged(drive, halves, road, describer):
    report = evaluated([drive('query', halves(10, 30), pose_delay_s=4.0)], road, describer).report
    assert report.frames_without_truth == 4
    assert report.frames == 36


def test_poses_in_another_frame_are_refused(drive, halves, road, describer):
    with pytest.raises(BagError, match='frame odom, the map is in map'):
        evaluated([drive('query', halves(10, 20))], road, describer, QuerySource(pose='/odom'))


def test_no_poses_at_the_time_of_the_images_is_an_error(drive, halves, road, describer):
    with pytest.raises(BagError, match='none of the 20 images'):
        evaluated([drive('query', halves(10, 20), pose_delay_s=900.0)], road, describer)


def test_a_camera_that_the_map_does_not_know_is_refused(drive, halves, road, describer):
    with pytest.raises(MapError, match='camera rear is not among those of the map'):
        evaluated([drive('query', halves(10, 20), mount=None)], road, describer,
                  QuerySource(image='/image', camera='rear'))


def test_images_of_another_size_and_with_one_channel_do(road, describer, tmp_path):
    with BagWriter(tmp_path / 'gray') as bag:
        for row in range(4):
            bag.image('/image', row * 10**9, np.full((30, 50, 3), 9, np.uint8), 'eye', 'mono8')
            bag.pose_stamped('/pose', row * 10**9, se3.from_xy_yaw(row, 0.0, 0.0))
    assert evaluated([tmp_path / 'gray'], road, describer, QuerySource()).report.frames == 4
