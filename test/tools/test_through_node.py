# SPDX-License-Identifier: Apache-2.0
"""The flags of playing through the node; how it plays is tested in test/ros."""

import json
from pathlib import Path

import numpy as np
import pytest

from vpr_ros.bags.answers import read_answers
from vpr_ros.bags.recording import Recording
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.errors import BagError, VprError
from vpr_ros.tools import cli, through_node
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.query_run import QueryRun, QuerySource
from vpr_ros.tools.through_node import NodeSettings
from vpr_ros.tools.write_evaluation import write_evaluation


@pytest.fixture
def road(drive, halves, describer, tmp_path):
    """The folder of a map of 60 m."""
    write_map([drive('mapping', halves(0, 60))], tmp_path / 'road.map',
              MapSource('/image', '/pose'), describer, salvage=False, force=False)
    return tmp_path / 'road.map'


def refused(capsys, monkeypatch, *words):
    """Run `vpr evaluate` and return its one line of refusal."""
    monkeypatch.setattr('sys.argv', ['vpr', 'evaluate', *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    return capsys.readouterr().err


def test_a_rate_is_of_the_node(capsys, monkeypatch, tmp_path):
    said = refused(capsys, monkeypatch, tmp_path, '--map', tmp_path, '--out', tmp_path / 'out',
                   '--rate', '2')
    assert 'add --through-node' in said


def test_a_bag_is_of_one_evaluation(capsys, monkeypatch, drive, halves, road, describer, tmp_path):
    from vpr_ros.tools import evaluate_grid
    monkeypatch.setattr(evaluate_grid, 'pairings', lambda *given: ((), ()))
    said = refused(capsys, monkeypatch, drive('query', halves(10, 20)), '--map', road, road.parent,
                   '--out', tmp_path / 'out', '--write-bag', tmp_path / 'bag')
    assert '--write-bag is for one map' in said


def test_without_ros_it_is_said(drive, halves, road, describer, tmp_path, monkeypatch):
    monkeypatch.setattr(through_node, 'find_spec', lambda name: None)
    with pytest.raises(VprError, match='rclpy cannot be imported'):
        write_evaluation([drive('query', halves(10, 20))], road, tmp_path / 'out', describer,
                         LocalizerConfig(), QuerySource(), Tolerance(), False, False,
                         node=NodeSettings())
    assert not (tmp_path / 'out').exists()


def test_a_bag_that_is_there_is_refused_before_any_work(drive, halves, road, describer, tmp_path):
    bag = drive('query', halves(10, 20))
    with pytest.raises(BagError, match='query exists already'):
        write_evaluation([bag], road, tmp_path / 'out', describer, LocalizerConfig(),
                         QuerySource(), Tolerance(), False, False, bag=bag)
    assert not (tmp_path / 'out').exists()


def test_in_process_a_bag_is_written_without_ros(drive, halves, road, describer, tmp_path):
    out, written = tmp_path / 'out', tmp_path / 'written'
    write_evaluation([drive('query', halves(10.3, 40), spoil={4})], road, out, describer,
                     LocalizerConfig(), QuerySource(odom='/odom'), Tolerance(1.2, 45.0), False,
                     False, bag=written)
    records = {r['stamp_ns']: r for r in map(json.loads, (
        out / 'outcomes.jsonl').read_text().splitlines())}
    with Recording(written) as recording:
        answers = read_answers(recording)
        assert recording.topics['/image'].count == 60
    assert {answer.outcome.stamp_ns for answer in answers} == set(records)
    assert len(answers) == 59
    for answer in answers:
        record = records[answer.outcome.stamp_ns]
        assert answer.outcome.reason.value == record['reason']
        if record['pose'] is not None:
            np.testing.assert_allclose(answer.outcome.hypotheses[0].pose, record['pose'],
                                       atol=1e-6)


def test_the_node_is_given_what_was_asked_for(drive, halves, road, describer, tmp_path):
    from vpr_ros.core.place_map import PlaceMap
    params = tmp_path / 'my.yaml'
    params.write_text('/**:\n  ros__parameters:\n    confirm_steps: 2\n')
    bag = drive('query', halves(10, 20))
    with Recording(bag) as recording:
        run = QueryRun.opened(recording, PlaceMap.load(road), QuerySource(odom='/odom'))
        settings = NodeSettings(2.0, params, Path('/models/mine'), 'openvino', 3)
        command = through_node._command(run, road, settings, tmp_path / 'replay')
        words = ' '.join(command)
        for part in (f'--params-file {params}', "model:='/models/mine'", 'engine:=openvino',
                     'threads:=3', "cameras:=['camera']", '--rate 2.0', '--odom /odom',
                     'base_from_camera.camera:=[0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]'):
            assert part in words
        params.write_text('/**:\n  ros__parameters:\n    base_from_camera:\n'
                          '      camera: [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]\n')
        assert 'base_from_camera' not in ' '.join(
            through_node._command(run, road, settings, tmp_path / 'replay'))
