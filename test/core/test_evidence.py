# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.evidence import Evidence, EvidenceConfig
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.types import Match
from vpr_ros.errors import MapError

CONFIG = EvidenceConfig(min_evidence=-50.0, max_evidence=50.0, doubt=0.0, alien_share=0.0)


def unit_rows(seed: int, count: int, dim: int = 64) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_off_the_map_no_place_gains_by_chance(seed):
    """The mean likelihood ratio over the places is near 1 for views that are not in the map."""
    rows = unit_rows(seed, 400)
    index = PlaceIndex(rows)
    evidence = Evidence(CONFIG, index, 0.9)
    ratios = []
    for query in unit_rows(seed + 1, 20):
        ratios.append(np.exp(evidence.of(query, index.search(query, 400))).mean())
    assert 0.5 < np.mean(ratios) < 1.5


@given(st.floats(0.1, 3.0), st.floats(-0.9, 0.9))
def test_light_that_dims_all_similarities_changes_nothing(factor, shift):
    """Evidence depends on how far a match stands out, not on the level of all of them."""
    index = PlaceIndex(unit_rows(3, 50))
    query = unit_rows(5, 1)[0]
    evidence = Evidence(CONFIG, index, 0.9)
    plain = evidence.of(query, index.search(query, 50))
    mean, deviation = index.background(query)

    class Dimmed:
        def background(self, _):
            return factor * mean + shift, factor * deviation

    dimmed = [Match(m.place, factor * m.similarity + shift) for m in index.search(query, 50)]
    got = Evidence(CONFIG, Dimmed(), 0.9).of(query, tuple(dimmed))
    np.testing.assert_allclose(got, plain, atol=1e-4)


def test_a_view_like_nothing_in_the_map_speaks_against_all_of_it():
    rows = unit_rows(3, 50)
    index = PlaceIndex(rows)
    config = EvidenceConfig()
    stranger = unit_rows(9, 1)[0]
    assert Evidence(config, index, 0.9).of(stranger, index.search(stranger, 50)).max() < 0.0
    assert Evidence(config, index, 0.9).of(rows[4], index.search(rows[4], 50)).max() > 0.0


def test_evidence_is_bounded():
    rows = unit_rows(3, 50)
    index = PlaceIndex(rows)
    config = EvidenceConfig()
    evidence = Evidence(config, index, 0.9).of(rows[4], index.search(rows[4], 50))
    assert evidence.max() == config.max_evidence
    assert evidence.min() >= config.min_evidence


@pytest.mark.parametrize('wrong', [{'sharpness': 0.0}, {'doubt': -1.0}, {'min_evidence': 1.0},
                                   {'alien_share': 1.0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(MapError, match=next(iter(wrong))):
        EvidenceConfig(**wrong)
