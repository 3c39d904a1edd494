# SPDX-License-Identifier: Apache-2.0
"""The RViz and Foxglove configurations show topics that are there."""

import json
from pathlib import Path
import re

import pytest
import yaml

from vpr_ros.bags.markers import MARKERS, SCENE
from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, NODE, POSE, STATUS
from vpr_ros.core.published import MATCH_FIELDS, status_values
from vpr_ros.core.types import Outcome, Reason
from vpr_ros.tools.run_bag import COMPRESSED, IMAGE, POSE as TRUTH

CONFIG = Path(__file__).parents[2] / 'config'
OURS = {POSE, HYPOTHESES, MATCHES, STATUS, f'{NODE}/debug_image', '/diagnostics'}
IN_THE_BAG = {MARKERS, SCENE}
OF_THE_DEMO = {IMAGE, COMPRESSED, TRUTH}
TYPES = {'MarkerArray': IN_THE_BAG, 'PointCloud2': {MATCHES}, 'PoseArray': {HYPOTHESES},
         'PoseWithCovariance': {POSE, '/amcl_pose'}, 'Image': {f'{NODE}/debug_image', IMAGE}}


def test_what_the_launch_file_waits_for_is_what_the_node_logs():
    launch = (CONFIG.parent / 'launch' / 'replay.launch.py').read_text()
    ready = re.search("^READY = '(.+?)'", launch, re.MULTILINE).group(1)
    assert ready in (CONFIG.parent / 'vpr_ros' / 'ros' / 'pipeline.py').read_text()
    assert 'replay.rviz' in launch


@pytest.fixture
def layout():
    return json.loads((CONFIG / 'foxglove.json').read_text())


def displays(name):
    return yaml.safe_load((CONFIG / name).read_text())['Visualization Manager']['Displays']


@pytest.mark.parametrize('name', ['relocalize.rviz', 'replay.rviz'])
def test_rviz_shows_topics_that_are_there_by_displays_of_their_type(name):
    shown = [(display['Class'].split('/')[1], display['Topic']['Value'])
             for display in displays(name) if 'Topic' in display]
    assert shown
    for kind, topic in shown:
        assert topic in TYPES[kind]
    channels = {d['Channel Name'] for d in displays(name) if 'Channel Name' in d}
    assert channels <= set(MATCH_FIELDS.names)


def test_rviz_of_a_replay_shows_all_that_is_in_the_bag():
    shown = {display['Topic']['Value'] for display in displays('replay.rviz')
             if 'Topic' in display}
    assert shown >= IN_THE_BAG | {POSE, HYPOTHESES, MATCHES}


def panels(tree):
    """Yield the panels of a layout; each split must have two sides."""
    if isinstance(tree, str):
        yield tree
        return
    assert set(tree) <= {'direction', 'first', 'second', 'splitPercentage'}
    assert tree['direction'] in ('row', 'column')
    assert 0 < tree['splitPercentage'] < 100
    yield from panels(tree['first'])
    yield from panels(tree['second'])


def test_every_panel_of_foxglove_is_laid_out_once(layout):
    shown = list(panels(layout['layout']))
    assert len(shown) == len(set(shown))
    assert set(shown) == set(layout['configById'])
    assert {panel.partition('!')[0] for panel in shown} == {
        '3D', 'Image', 'StateTransitions', 'Plot', 'RawMessages', 'DiagnosticSummary'}
    assert {'configById', 'globalVariables', 'userNodes', 'playbackConfig', 'layout'} == set(
        layout)


def paths(layout):
    """Yield the topic and, where there is one, the path within it that Foxglove reads."""
    for panel in layout['configById'].values():
        yield from ((topic, '') for topic in panel.get('topics', ()))
        if topic := panel.get('imageMode', {}).get('imageTopic'):
            yield topic, ''
        for path in [panel.get('topicPath'), panel.get('topicToRender'),
                     *(series['value'] for series in panel.get('paths', ()))]:
            if path:
                topic, _, field = path.partition('.')
                yield topic, field


def test_foxglove_shows_topics_and_values_that_are_there(layout):
    found = list(paths(layout))
    assert {topic for topic, _ in found} <= OURS | IN_THE_BAG | OF_THE_DEMO
    assert {topic for topic, _ in found} >= OURS | IN_THE_BAG
    times = {'latency_ms': 1.0, 'decode_ms': 1.0, 'age_ms': 1.0}
    known = status_values(Outcome(1, 'camera', (), (), Reason.WEAK, 0.5), times)
    fields = [field for _, field in found if field]
    assert len(fields) == 5
    assert set(fields) <= {f'values[:]{{key=="{key}"}}.value' for key in known}
    assert layout['configById']['3D!map']['topics'][MATCHES]['colorField'] in MATCH_FIELDS.names
