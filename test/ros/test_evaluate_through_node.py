# SPDX-License-Identifier: Apache-2.0
"""vpr evaluate gives the same folder and the same bag in process and through the real node."""

import json

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.bags.answers import read_answers
from vpr_ros.bags.markers import MARKERS, SCENE
from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, POSE, STATUS
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.tools.evaluate_bags import Looking
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.through_node import NodeSettings
from vpr_ros.tools.write_evaluation import write_evaluation

SOURCE = QuerySource(image='/image', pose='/pose', odom='/odom')
TIMES = {'latency_ms', 'decode_ms', 'describe_ms', 'search_ms', 'judge_ms'}


@pytest.fixture(scope='module')
def bag(stage, tmp_path_factory):
    """Half of the corridor; the truth begins late."""
    path = tmp_path_factory.mktemp('bags') / 'drive'
    with BagWriter(path) as writer:
        for row, metre in enumerate(np.arange(5.0, 25.0, 0.5)):
            stamp_ns = stage.START_NS + row * 500_000_000
            writer.odometry('/odom', stamp_ns, se3.from_xy_yaw(metre, 0.0, 0.0))
            if row >= 4:
                writer.pose_stamped('/pose', stamp_ns, se3.from_xy_yaw(metre, 2.0, 0.0))
            writer.image('/image', stamp_ns, stage.view(metre))
    return path


@pytest.fixture(scope='module')
def evaluated(bag, depot, describer, model, tmp_path_factory):
    """Evaluate to a folder and a bag: `evaluated(name, node) -> (folder, bag)`."""
    where = tmp_path_factory.mktemp('evaluated')

    def evaluate(name, node):
        out, written = where / f'{name}.eval', where / f'{name}_bag'
        write_evaluation([bag], depot, out, describer, LocalizerConfig(), SOURCE,
                         Tolerance(1.0, 20.0), False, False, looking=Looking(thumbnails=True),
                         model_folder=model, node=node, bag=written)
        return out, written

    return evaluate


@pytest.fixture(scope='module')
def in_process(evaluated):
    return evaluated('process', None)


@pytest.fixture(scope='module')
def through_node(evaluated, model):
    return evaluated('node', NodeSettings(0.0, None, model, 'onnxruntime', 1))


def outcomes(folder):
    return [json.loads(line) for line in (folder / 'outcomes.jsonl').read_text().splitlines()]


def untimed(record):
    return {key: value for key, value in record.items() if key not in TIMES}


def test_the_folders_say_the_same(in_process, through_node):
    ours, theirs = (outcomes(folder) for folder, _ in (in_process, through_node))
    assert list(map(untimed, ours)) == list(map(untimed, theirs))
    assert len(ours) == 36
    assert sum(record['accepted'] for record in ours) > 10
    assert {file.name for file in in_process[0].iterdir()} - {
        file.name for file in through_node[0].iterdir()} == {'similarity.npz'}
    assert (in_process[0] / 'pictures.bin').read_bytes() == (
        through_node[0] / 'pictures.bin').read_bytes()
    reports = [json.loads((folder / 'report.json').read_text())
               for folder, _ in (in_process, through_node)]
    for key in ('frames', 'accepted', 'wrong_fixes', 'recall_at_1', 'calibration_error',
                'decision_average_precision', 'frames_without_truth', 'frames_dropped'):
        assert reports[0][key] == pytest.approx(reports[1][key], abs=1e-6)
    assert reports[1]['frames_without_truth'] == 4
    assert 'in the node, each image sent once' in reports[1]['protocol']
    settings = json.loads((through_node[0] / 'settings.json').read_text())
    assert settings['through'].startswith('in the node')


@pytest.mark.parametrize('way', ['in_process', 'through_node'])
def test_the_bag_holds_what_the_folder_says(way, bag, request):
    folder, written = request.getfixturevalue(way)
    records = {record['stamp_ns']: record for record in outcomes(folder)}
    with Recording(written) as recording, Recording(bag) as original:
        counts = {name: topic.count for name, topic in recording.topics.items()}
        assert counts.pop('/diagnostics', 1) >= 1
        accepted = counts.pop(POSE)
        assert counts == {'/image': 40, '/odom': 40, '/pose': 36, SCENE: 1, MARKERS: 40,
                          HYPOTHESES: 40, MATCHES: 40, STATUS: 40}
        assert [m.cdr for m in recording.messages(['/image'])] == [
            m.cdr for m in original.messages(['/image'])]
        stamps = {m.stamp_ns for m in original.messages(['/image'])}
        answers = {answer.outcome.stamp_ns: answer for answer in read_answers(recording)}
    assert set(answers) == stamps
    assert accepted == sum(a.outcome.accepted is not None for a in answers.values())
    for stamp_ns, record in records.items():
        answer = answers[stamp_ns]
        assert answer.outcome.reason.value == record['reason']
        assert answer.latency_ms == pytest.approx(record['latency_ms'], abs=0.01)
        assert [match.place for match in answer.outcome.matches[:10]] == [
            place for place, _ in record['matches']]
        if record['pose'] is not None:
            np.testing.assert_allclose(answer.outcome.hypotheses[0].pose, record['pose'],
                                       atol=1e-6)
            assert answer.outcome.hypotheses[0].probability == pytest.approx(
                record['probability'], abs=1e-6)


def test_dropped_frames_are_counted_and_the_rest_is_judged(evaluated, model):
    folder, written = evaluated('fast', NodeSettings(5000.0, None, model, 'onnxruntime', 1))
    report = json.loads((folder / 'report.json').read_text())
    assert report['frames_dropped'] > 0
    assert report['frames'] + report['frames_without_truth'] + report['frames_dropped'] == 40
    assert len(outcomes(folder)) == report['frames'] == sum(report['reasons'].values())
    assert 'images were dropped' in ' '.join(
        json.loads((folder / 'settings.json').read_text())['remarks'])
    with Recording(written) as recording:
        assert recording.topics['/image'].count == 40
        assert recording.topics[STATUS].count == 40 - report['frames_dropped']
