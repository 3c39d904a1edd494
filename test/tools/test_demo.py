# SPDX-License-Identifier: Apache-2.0
"""The demo on a short run: everything but the length is as in `make demo`."""

from dataclasses import replace
import io
import json
import os

import numpy as np
import pytest
from rich.console import Console

from vpr_ros.core.types import Trajectory
from vpr_ros.datasets.run import LazyImages
from vpr_ros.datasets.world import building_pair
from vpr_ros.errors import VprError
from vpr_ros.tools import demo


def part(run, first, last):
    """Return the frames `first` to `last` of a run, with their odometry."""
    rows = slice(first, last)
    stamps_ns = run.stamps_ns[rows]
    during = ((run.odometry.stamps_ns >= stamps_ns[0] - 200_000_000)
              & (run.odometry.stamps_ns <= stamps_ns[-1] + 200_000_000))
    odometry = Trajectory(run.odometry.stamps_ns[during], run.odometry.poses[during], 'odom')
    images = [run.images[row] for row in range(first, last)]
    return replace(run, stamps_ns=stamps_ns, map_from_base=run.map_from_base[rows],
                   odometry=odometry, images=LazyImages(len(images), images.__getitem__))


@pytest.fixture(scope='module')
def short_pair():
    pair = building_pair(0)
    return replace(pair, mapping=part(pair.mapping, 0, 70), query=part(pair.query, 10, 60))


def run(short_pair, monkeypatch, out, rclpy):
    monkeypatch.setattr(demo, 'building_pair', lambda seed: short_pair)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(101 + os.getpid() % 100))
    if not rclpy:
        monkeypatch.setattr(demo, 'find_spec', lambda name: None)
    said = Console(record=True, width=200, file=io.StringIO())
    report = demo.run_demo(out, 0, None, False, said)
    lines = [json.loads(line) for line in (out / 'outcomes.jsonl').read_text().splitlines()]
    return report, lines, said.export_text()


def test_node_and_process_agree_on_every_frame(short_pair, monkeypatch, tmp_path):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    through_node, node_lines, said = run(short_pair, monkeypatch, tmp_path / 'node', True)
    assert 'through the relocalizer node' in said
    in_process, lines, said = run(short_pair, monkeypatch, tmp_path / 'process', False)
    assert 'instead of the node' in said
    assert len(node_lines) == len(lines) == 50
    for ours, published in zip(lines, node_lines, strict=True):
        assert published['reason'] == ours['reason']
        assert published['matches'] == ours['matches']
        if ours['pose'] is not None:
            np.testing.assert_allclose(published['pose'], ours['pose'], atol=1e-4)
    assert through_node.recall_at_1 == in_process.recall_at_1
    assert through_node.accepted == in_process.accepted > 0
    assert through_node.wrong_fixes == in_process.wrong_fixes


def test_everything_promised_is_written(short_pair, monkeypatch, tmp_path):
    out = tmp_path / 'demo'
    report, lines, said = run(short_pair, monkeypatch, out, False)
    for name in ('report.html', 'demo.png', 'report.json', 'outcomes.jsonl', 'building.map',
                 'mapping_run', 'query_run'):
        assert str(out / name) in said
        assert (out / name).exists()
    assert (out / 'demo.png').stat().st_size > 50_000
    page = (out / 'report.html').read_text()
    assert 'evaluation of <b>demo</b>' in page
    assert 'on the map building.map' in page
    assert str(out / 'building.map') in page
    assert 'There are no pictures of places' not in page
    assert json.loads((out / 'report.json').read_text())['frames'] == len(lines) == report.frames
    with pytest.raises(VprError, match='exists already'):
        run(short_pair, monkeypatch, out, False)
