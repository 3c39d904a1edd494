# SPDX-License-Identifier: Apache-2.0
"""Replay is the robot: a bag gives the same outcomes through the node and offline."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.tools.evaluate_bags import evaluate, outcome_record
from vpr_ros.tools.query_run import QuerySource

IMAGE, ODOM, POSE = '/camera/image_raw', '/odom', '/ground_truth'


@pytest.fixture(scope='module')
def bag(stage, tmp_path_factory):
    """Past the wall, half a metre an image, with a metre of drift and a stretch off the map."""
    path = tmp_path_factory.mktemp('bags') / 'drive'
    metres = np.concatenate([np.arange(5.0, 30.0, 0.5), np.arange(55.0, 60.0, 0.5)])
    with BagWriter(path) as writer:
        for step in range(10 * len(metres)):
            stamp_ns = stage.START_NS + step * 50_000_000
            metre = float(np.interp(step / 10.0, range(len(metres)), metres))
            writer.odometry(ODOM, stamp_ns, se3.from_xy_yaw(metre * 1.04, 0.3, 0.01))
            writer.pose_stamped(POSE, stamp_ns, se3.from_xy_yaw(metre, 2.0, 0.0))
            if step % 10 == 3:
                writer.image(IMAGE, stamp_ns + 7_000_000, stage.view(metre))
    return path


def test_node_and_evaluate_give_equal_outcomes(stage, bag, depot, describer, model, tmp_path):
    tolerance = Tolerance(1.0, 20.0)
    with Recording([bag]) as recording:
        offline = evaluate(recording, PlaceMap.load(depot), describer, LocalizerConfig(),
                           QuerySource(image=IMAGE, pose=POSE, odom=ODOM), tolerance)
    command = [sys.executable, '-m', 'vpr_ros.ros.replay', str(bag), '--map', str(depot),
               '--image', IMAGE, '--odom', ODOM, '--out', str(tmp_path / 'published.jsonl'),
               '--parameter', f'model:={model}', '--parameter', 'threads:=1']
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120,
                          env={**os.environ, 'ROS_DOMAIN_ID': str(1 + next(stage.domains) % 100)})
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / 'published.jsonl').read_text().splitlines()
    published = {record['stamp_ns']: record for record in map(json.loads, lines)}
    expected = [outcome_record(frame) for frame in offline.frames]
    assert {'accepted', 'unknown'} <= {record['reason'] for record in expected}
    assert len(expected) > 40
    for record in expected:
        online = published[record['stamp_ns']]
        assert (online['reason'], online['camera']) == (record['reason'], record['camera'])
        assert [place for place, _ in online['matches']] == [
            place for place, _ in record['matches']]
        assert online['unknown_probability'] == pytest.approx(
            record['unknown_probability'], abs=1e-3)
        if record['pose'] is not None:
            assert np.allclose(online['pose'], record['pose'], atol=1e-4)
