# SPDX-License-Identifier: Apache-2.0
"""Real images, as bags, through map building and evaluation with the default model."""

import json
import os
from pathlib import Path

import pytest

from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.scoring import Tolerance
from vpr_ros.datasets.sequences import open_pair
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, IMAGE, POSE, write_run
from vpr_ros.tools.write_evaluation import write_evaluation

SHARED = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared'))
DATA = SHARED / 'data'
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f'the image sets are not at {DATA}; set VPR_SHARED')


# Well below what docs/default_model.md gives, and well above what random weights reach.
@pytest.mark.parametrize(('name', 'compressed', 'recall_at_1'), [
    ('stromovka_summer_winter', False, 0.2), ('corridor', True, 0.6),
    ('indoor_two_laps', False, 0.6), ('campus_loop', True, 0.6)])
def test_a_real_sequence_is_mapped_and_found(name, compressed, recall_at_1, tmp_path):
    pair, describer = open_pair(name, DATA), load_describer(None)
    topic = COMPRESSED if compressed else IMAGE
    mapping, query = (write_run(run, tmp_path / role, compressed=compressed)
                      for role, run in (('map', pair.mapping), ('query', pair.query)))
    summary = write_map([mapping], tmp_path / 'a.map',
                        MapSource(topic, POSE, spacing_m=0.0, max_gap_s=1e6), describer,
                        salvage=False, force=False)
    assert summary.places == len(pair.mapping.images)
    write_evaluation([query], tmp_path / 'a.map', tmp_path / 'out', describer, LocalizerConfig(),
                     QuerySource(max_gap_s=1e6), Tolerance(pair.tolerance_m, pair.tolerance_deg),
                     salvage=False, force=False)
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert report['frames'] == report['frames_with_match'] == len(pair.query.images)
    assert report['recall_at_1'] > recall_at_1
