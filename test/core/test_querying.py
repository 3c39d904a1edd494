# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.core.querying import may_query, refuse_to_query
from vpr_ros.errors import MapError

PARENT = ModelCard('parent', 'none', 'none', 'grid', {}, {}, 64, Preprocessing(32, 32), 'ab' * 32)
STRANGER = replace(PARENT, name='stranger', digest='ef' * 32)
CHILD = replace(PARENT, name='child', digest='cd' * 32, parent=PARENT.digest,
                queries_maps_of=(PARENT.digest,), preprocessing=Preprocessing(16, 16))


def test_a_model_may_ask_its_own_maps_and_those_it_was_taught_for():
    assert may_query(PARENT, PARENT)
    assert may_query(CHILD, CHILD)
    assert may_query(CHILD, PARENT)
    assert not may_query(CHILD, STRANGER)
    assert not may_query(PARENT, CHILD)     # the other way round nobody taught it
    assert not may_query(replace(CHILD, queries_maps_of=()), PARENT)   # to be a child is not all
    assert not may_query(STRANGER, PARENT)
    refuse_to_query(CHILD, PARENT)


def test_an_int8_form_of_a_child_asks_what_the_child_asks_but_not_the_maps_of_the_child():
    small = replace(CHILD, name='child-int8', digest='12' * 32, precision='int8',
                    parent=CHILD.digest)
    assert may_query(small, PARENT)
    assert not may_query(small, CHILD)
    assert not may_query(replace(small, queries_maps_of=()), PARENT)


def test_the_refusal_says_what_to_do():
    with pytest.raises(MapError, match=r'the map was built by model parent \(abababababab\), not '
                                       r'by stranger \(efefefefefef\): use that model, or build'):
        refuse_to_query(STRANGER, PARENT)
    with pytest.raises(MapError, match=r'depot was built by model stranger .*not by child .*may '
                                       r'also ask maps of abababababab: use that model'):
        refuse_to_query(CHILD, STRANGER, 'depot')


def test_other_dimensions_are_refused_whatever_the_card_says():
    with pytest.raises(MapError, match='64-d descriptors, and child .* gives 32-d ones'):
        refuse_to_query(replace(CHILD, dim=32), PARENT)
    assert not may_query(replace(PARENT, dim=32), PARENT)
