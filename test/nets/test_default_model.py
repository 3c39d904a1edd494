# SPDX-License-Identifier: Apache-2.0
"""The model that ships: what it promises about itself, and that it still sees."""

import os
from pathlib import Path

import numpy as np
import pytest

from vpr_ros.compress.distill_eval import recall_on
from vpr_ros.datasets.sequences import corridor, stromovka_summer_winter
from vpr_ros.nets.model_folder import default_model_folder, GRAPH, load_describer, read_card

DATA = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared')) / 'data'
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f'the image sets are not at {DATA}; set VPR_SHARED')


def test_it_is_small_and_says_where_it_comes_from():
    card = read_card(default_model_folder())
    assert card.name == 'vpr-default'
    assert card.dim <= 1024
    assert card.licence == 'Apache-2.0'
    assert card.parent == card.notes['dense']['digest']
    assert {'method', 'teacher', 'images', 'augmentation', 'steps', 'views', 'seed', 'config',
            'recall'} <= set(card.notes)
    for name, row in card.notes['recall'].items():
        assert row['protocol'], name
        assert row['at_1'] >= 0.9 * row['teacher_at_1'], name
    assert (default_model_folder() / GRAPH).stat().st_size <= 3_000_000


def test_engine_and_reference_agree_on_its_trained_weights(pictures):
    from vpr_ros.nets.torch_describer import TorchDescriber
    engine = load_describer(None, 1, 'onnxruntime')
    reference = TorchDescriber.load(default_model_folder())
    for count in (1, 3):
        images = pictures(count)
        np.testing.assert_allclose(engine.describe(images), reference.describe(images), atol=1e-4)


@needs_data
@pytest.mark.parametrize(('pair', 'name'), [(stromovka_summer_winter, 'stromovka'),
                                            (corridor, 'corridor')])
def test_it_recalls_what_its_card_says(pair, name):
    describer = load_describer(None, 1)
    promised = describer.card.notes['recall'][name]
    score = recall_on(describer, pair(DATA))
    assert score.protocol == promised['protocol']
    assert score.queries == promised['queries']
    assert score.at_1 == pytest.approx(promised['at_1'], abs=0.02)
    assert score.at_5 == pytest.approx(promised['at_5'], abs=0.02)
