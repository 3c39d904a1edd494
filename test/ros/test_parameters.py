# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.core.knobs import build, flat, knobs
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.errors import MapError, VprError
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.parameters import refuse_frozen

YAML = Path(__file__).parents[2] / 'config' / 'relocalize.yaml'


def documented():
    return yaml.safe_load(YAML.read_text(encoding='utf-8'))['/**']['ros__parameters']


def test_yaml_documents_every_parameter_with_its_default():
    defaults = {knob.name: list(knob.default) if isinstance(knob.default, tuple) else knob.default
                for kind in (NodeConfig, LocalizerConfig) for knob in knobs(kind)}
    assert documented() == defaults
    assert {name: type(value) for name, value in documented().items()} == {
        name: type(value) for name, value in defaults.items()}


def test_yaml_marks_as_live_what_can_be_set_while_running():
    text = YAML.read_text(encoding='utf-8')
    for knob in knobs(NodeConfig):
        assert ('[live]' in _comment(text, knob.name)) is knob.metadata['live'], knob.name


def test_yaml_marks_as_live_what_the_localizer_takes_while_running(corridor):
    text = YAML.read_text(encoding='utf-8')
    describer = SimpleNamespace(card=corridor.card)
    for name, value in flat(LocalizerConfig()).items():
        localizer = Localizer(LocalizerConfig(), corridor, describer)
        try:
            # That this map cannot be verified is another matter.
            localizer.reconfigure(build(LocalizerConfig, {name: _another(value)}))
            taken = True
        except MapError as error:
            taken = 'no local features' in str(error)
        assert ('[live]' in _comment(text, name)) is taken, name


def _another(value):
    if isinstance(value, str):
        return 'always'
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value + 0.125


def _comment(text, name):
    """The comment right above a key."""
    above = text[:text.index(f'\n    {name}: ')].splitlines()
    lines = []
    while above and above[-1].lstrip().startswith('#'):
        lines.append(above.pop())
    return '\n'.join(lines)


def test_names_of_node_and_method_do_not_collide():
    names = [knob.name for kind in (NodeConfig, LocalizerConfig) for knob in knobs(kind)]
    assert len(names) == len(set(names))


def test_what_the_method_refuses_is_refused():
    with pytest.raises(MapError, match='accept_probability must be at least 0 and below'):
        build(LocalizerConfig, {'accept_probability': 2.0})


@pytest.mark.parametrize(('changes', 'message'), [
    ({'image_reliability': 'best'}, "image_reliability is 'best'; choose one of best_effort"),
    ({'image_transport': 'theora'}, 'choose one of auto, raw, compressed'),
    ({'engine': 'tflite'}, "engine is 'tflite'; choose one of auto, onnxruntime, openvino, torch"),
    ({'image_decoder': 'pil'}, 'choose one of builtin, cv_bridge'),
    ({'max_rate_hz': -1.0}, 'max_rate_hz is -1.0; it must not be negative'),
    ({'odom_wait_s': float('nan')}, 'odom_wait_s is nan'),
    ({'threads': -1}, 'threads is -1'),
    ({'debug_places': 0}, 'debug_places is 0; it must be at least 1'),
    ({'initialpose_tries': 0}, 'initialpose_tries is 0; it must be at least 1'),
    ({'disagree_frames': 0}, 'disagree_frames is 0; it must be at least 1'),
    ({'initialpose_backoff_s': -1.0}, 'initialpose_backoff_s is -1.0; it must not be negative'),
    ({'agree_m': float('nan')}, 'agree_m is nan'),
    ({'tf_rate_hz': 0.0}, 'tf_rate_hz is 0.0; it must be positive'),
    ({'mounts_timeout_s': float('inf')}, 'mounts_timeout_s is inf; it must be positive'),
    ({'mounts_from_tf': True, 'base_frame': ''}, 'base_frame is empty, and mounts_from_tf'),
    ({'cameras': ()}, 'cameras is empty'),
    ({'cameras': ('', 'a')}, "cameras: '' cannot be part of a topic"),
    ({'cameras': ('a', '2b')}, "cameras: '2b' cannot be part of a topic"),
    ({'cameras': ('a', 'a')}, 'cameras names one twice: a, a'),
])
def test_values_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(VprError, match=message):
        build(NodeConfig, changes)


def test_live_knobs_may_change_and_frozen_ones_not():
    before = NodeConfig()
    refuse_frozen(before, NodeConfig(max_rate_hz=2.0), ['max_rate_hz'])
    with pytest.raises(VprError, match='threads cannot be set while the node is configured'):
        refuse_frozen(before, NodeConfig(threads=2), ['threads'])
    with pytest.raises(VprError, match='base_from_camera.front cannot be set'):
        refuse_frozen(before, before, ['base_from_camera.front'])
    with pytest.raises(VprError, match='call ~/load_map'):
        refuse_frozen(before, NodeConfig(map='other'), ['map'])
