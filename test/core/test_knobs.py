# SPDX-License-Identifier: Apache-2.0
from vpr_ros.core.knobs import build, flat, knobs
from vpr_ros.core.localizer import LocalizerConfig


def test_names_are_flat_and_unique():
    names = [knob.name for knob in knobs(LocalizerConfig)]
    assert len(names) == len(set(names))
    assert {'top_k', 'sharpness', 'max_speed_mps', 'cluster_m'} <= set(names)


def test_values_come_back():
    config = build(LocalizerConfig, {'top_k': 7, 'sharpness': 1.25, 'nothing_of_ours': 3})
    assert (config.top_k, config.evidence.sharpness) == (7, 1.25)
    assert build(LocalizerConfig, flat(config)) == config
    assert build(LocalizerConfig, {}) == LocalizerConfig()
