# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json

import pytest

from vpr_ros.core.card import ModelCard, Preprocessing, Resize
from vpr_ros.errors import ModelError

CARD = ModelCard(name='m', backbone='resnet18', cut='layer3', aggregator='convap',
                 aggregator_args={'grid': 2}, widths={'conv1': (3, 64)}, dim=256,
                 preprocessing=Preprocessing(224, 320, Resize.BICUBIC), digest='abc',
                 parent='def', notes={'steps': 7})


def test_a_card_comes_back_from_its_text():
    assert ModelCard.from_json(CARD.to_json(), 'here') == CARD


@pytest.mark.parametrize(('text', 'words'), [
    ('{', 'is not JSON'),
    ('[]', 'no model card of schema'),
    (json.dumps({**json.loads(CARD.to_json()), 'schema': 2}), 'no model card of schema'),
    (json.dumps({**json.loads(CARD.to_json()), 'dimm': 3}), 'unknown keys: dimm'),
    (json.dumps({k: v for k, v in json.loads(CARD.to_json()).items() if k != 'widths'}),
     'incomplete or malformed'),
    (CARD.to_json().replace('bicubic', 'magic'), 'incomplete or malformed'),
])
def test_what_is_no_card_is_refused_by_name(text, words):
    with pytest.raises(ModelError, match=f'here.*{words}'):
        ModelCard.from_json(text, 'here')


def test_contradictions_are_refused():
    with pytest.raises(ModelError, match='descriptor size 0'):
        replace(CARD, dim=0)
    with pytest.raises(ModelError, match='below 8 pixels'):
        Preprocessing(4, 224)
    with pytest.raises(ModelError, match='must be positive'):
        Preprocessing(224, 224, std=(0.0, 1.0, 1.0))


def test_a_card_says_whose_maps_it_may_ask():
    child = replace(CARD, queries_maps_of=('abd', 'abe'))
    assert ModelCard.from_json(child.to_json(), 'here') == child
    assert ModelCard.from_json(CARD.to_json(), 'here').queries_maps_of == ()


def test_a_card_that_asks_no_other_maps_is_as_before_there_were_any():
    assert 'queries_maps_of' not in json.loads(CARD.to_json())


@pytest.mark.parametrize('asked', [None, 'abd', 3, [3], [''], {'abd': 1}], ids=repr)
def test_maps_that_are_no_digests_are_refused(asked):
    text = json.dumps({**json.loads(CARD.to_json()), 'queries_maps_of': asked})
    with pytest.raises(ModelError, match='queries_maps_of'):
        ModelCard.from_json(text, 'here')


def test_maps_must_be_named_by_a_tuple():
    with pytest.raises(ModelError, match="not 'abd'"):
        replace(CARD, queries_maps_of='abd')
