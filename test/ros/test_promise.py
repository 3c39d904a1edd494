# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.evidence import EvidenceConfig
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.ros.promise import Promise

MEASURED = Calibration(threshold=0.97, precision=0.99, accepted=800, wrong=2, coverage=0.8,
                       source='run2', settings=LocalizerConfig().settings())


def promise(place_map, calibration=None, **changes):
    calibrated = replace(place_map, calibration=calibration)
    config = LocalizerConfig(**changes)
    localizer = Localizer(config, calibrated, SimpleNamespace(card=place_map.card))
    return Promise.of(localizer, calibrated, config.accept_probability)


def test_without_a_calibration_probabilities_are_a_guess(corridor):
    made = promise(corridor)
    assert 'not calibrated, so probabilities are a guess: run vpr calibrate' in made.sentence
    assert made.values() == {'calibrated': 'no', 'threshold': '0.9000',
                             'threshold from': 'the default'}


def test_a_calibration_says_what_it_promises_and_by_what(corridor):
    made = promise(corridor, MEASURED)
    assert made.sentence == ('the map is calibrated for a precision of 0.99: a pose has to be '
                             '0.97 probable; measured on run2')
    values = made.values()
    assert (values['calibrated'], values['threshold from']) == ('yes', 'the calibration')
    assert (values['accepted there'], values['of them wrong']) == (800, 2)


def test_other_settings_are_named_and_cost_the_promise(corridor):
    made = promise(corridor, MEASURED, evidence=EvidenceConfig(doubt=0.7))
    assert 'doubt is 0.7, not 0.3' in made.sentence
    assert 'sharpness' not in made.sentence
    assert (made.values()['calibrated'], made.threshold) == ('for other settings', 0.9)


def test_a_probability_of_ones_own_overrules_it(corridor):
    made = promise(corridor, MEASURED, accept_probability=0.8)
    assert 'accept_probability is set, so a pose has to be 0.8 probable' in made.sentence
    assert made.values()['threshold from'] == 'accept_probability'


def test_it_is_said_when_odometry_is_not_as_it_was(corridor):
    made = promise(corridor, MEASURED)
    assert made.sentence_with(True) == made.sentence
    assert made.sentence_with(False).endswith('was with odometry, and none comes now')
    without = promise(corridor, replace(MEASURED, odometry=False))
    assert without.sentence_with(True).endswith('was without odometry, and there is some now')


def test_the_node_says_it_at_start_with_each_map_and_with_each_change(
        start, stage, describer, depot, tmp_path):
    stage.place_map(describer, calibration=MEASURED).save(tmp_path / 'measured.map')
    process, robot = start({'map': depot})
    process.said('run vpr calibrate')
    report = robot.diagnosis('calibration')
    assert (report.level, stage.values(report)['calibrated']) == (b'\x00', 'no')
    robot.ready()
    assert robot.load_map(tmp_path / 'measured.map') == 0
    process.said('calibrated for a precision of 0.99')
    robot.say(5, robot.tick())
    report = robot.diagnosis('calibration', lambda status: 'none comes' in status.message)
    assert stage.values(report)['threshold'] == '0.9700'
    assert robot.set(cluster_m=2.5) == []
    process.said('cluster_m is 2.5, not 3.0')
    report = robot.diagnosis('calibration', lambda status: 'cluster_m' in status.message)
    assert (report.level, stage.values(report)['calibrated']) == (b'\x00', 'for other settings')
    assert robot.set(cluster_m=3.0) == []
    assert robot.drive(range(5, 15))[-1].level == b'\x00'
    robot.diagnosis('calibration', lambda status: status.message.endswith('measured on run2'))
