# SPDX-License-Identifier: Apache-2.0
import math
import os
from pathlib import Path

import numpy as np
import pytest

from vpr_ros.compress.distill_eval import benchmark_pairs, recall_at, recall_on
from vpr_ros.datasets.run import LazyImages, Run, RunPair

SHARED = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared'))


def run(name, levels):
    poses = np.zeros((len(levels), 7))
    poses[:, 0], poses[:, 6] = np.arange(len(levels)), 1.0
    images = [np.full((4, 4, 3), level, np.uint8) for level in levels]
    return Run(name, 'map', 'camera', None, np.arange(len(levels), dtype=np.int64) + 1, poses,
               None, LazyImages(len(levels), lambda i: images[i]))


class Bright:
    """Describes an image by its brightness as an angle."""

    card = None

    def describe(self, images):
        angles = np.array([image.mean() / 255.0 for image in images])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_recall_counts_rows_that_have_a_positive():
    similarity = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3], [0.4, 0.3, 0.2]], np.float32)
    positives = [(1,), (), (0, 2)]
    assert recall_at(similarity, positives, 1) == 0.5
    assert recall_at(similarity, positives, 2) == 1.0
    assert math.isnan(recall_at(similarity, [(), (), ()], 1))


@pytest.mark.parametrize('listed', [True, False])
def test_recall_on_a_pair_by_list_or_by_distance(listed):
    positives = ((0,), (1,), (0,)) if listed else None
    pair = RunPair('toy', run('a', [10, 60, 200]), run('b', [12, 190, 205]), 0.5, 180.0,
                   'three shades', positives)
    score = recall_on(Bright(), pair)
    assert (score.pair, score.protocol, score.queries) == ('toy', 'three shades', 3)
    assert score.at_1 == pytest.approx(1 / 3 if listed else 2 / 3)
    assert score.at_5 == 1.0


@pytest.mark.skipif(not (SHARED / 'data').is_dir(),
                    reason=f'the image sets are not at {SHARED}/data; set VPR_SHARED')
def test_held_out_halves_are_asked_against_the_whole_map():
    pairs = benchmark_pairs(SHARED / 'data')
    whole, half = pairs['corridor'], pairs['corridor_held_out']
    assert len(half.mapping.images) == len(whole.mapping.images) == 111
    assert len(half.query.images) == 55
    assert half.positives == whole.positives[56:]
