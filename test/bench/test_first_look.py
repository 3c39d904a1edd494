# SPDX-License-Identifier: Apache-2.0
"""The parts of the first look that are its own: sequences, and the patch-normalized picture."""

from hypothesis import given, strategies as st
import numpy as np
import pytest

pytest.importorskip('torch', reason='the benchmark imports published weights')

from bench.first_look import diagonal_mean, patch_normalized, recalls
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.layouts import LAYOUTS


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 5]), st.integers(0, 9))
def test_the_mean_runs_along_the_diagonal_and_inside(queries, places, length, seed):
    similarity = np.random.default_rng(seed).random((queries, places)).astype(np.float32)
    found = diagonal_mean(similarity, length)
    for q in range(queries):
        for p in range(places):
            inside = [similarity[q + d, p + d] for d in range(-(length // 2), length // 2 + 1)
                      if 0 <= q + d < queries and 0 <= p + d < places]
            assert found[q, p] == pytest.approx(np.mean(inside), abs=1e-6)


def test_patches_have_mean_zero_and_deviation_one_and_flat_ones_stay_finite():
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3)).astype(np.uint8)
    patches = patch_normalized(image).reshape(32, 64)
    assert patches.mean(axis=1) == pytest.approx(np.zeros(32), abs=1e-4)
    assert patches.std(axis=1) == pytest.approx(np.ones(32), abs=1e-3)
    assert not patch_normalized(np.full((64, 128, 3), 9, np.uint8)).any()


def test_recalls_are_counted_by_the_scores_of_the_product(tmp_path):
    import cv2
    for name in ('map', 'query'):
        (tmp_path / name).mkdir()
        for i in range(7):
            cv2.imwrite(str(tmp_path / name / f'{i}.png'), np.zeros((4, 4, 3), np.uint8))
    pair = LAYOUTS['by-order'].open_pair(tmp_path, LayoutOptions(tolerance_frames=0))
    similarity = np.eye(7, dtype=np.float32)
    similarity[0] = similarity[0, ::-1]         # wrong, and then by index: the second
    similarity[1] = np.arange(7)                # the right one comes sixth
    assert recalls(similarity, pair) == (pytest.approx(5 / 7), pytest.approx(6 / 7))
