# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vpr_ros.compress.finetune_losses import (
    as_parent,
    same_descriptors,
    same_relations,
    Similarity,
)

SEEDS = st.integers(0, 2**31)


def rows(seed, count=6, dim=8):
    return F.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)))


def rotation(seed, dim=8):
    noise = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(noise).Q


@given(SEEDS)
def test_equals_lose_nothing(seed):
    x = rows(seed)
    assert float(same_descriptors(x, x)) == pytest.approx(0.0, abs=1e-6)
    assert float(same_relations(x, x)) == 0.0
    assert float(as_parent(x, x, None)) == pytest.approx(0.0, abs=1e-6)
    assert float(as_parent(x, x, np.arange(8))) == pytest.approx(0.0, abs=1e-6)


@given(SEEDS, SEEDS, SEEDS)
def test_relations_do_not_ask_for_the_same_axes(seed, turn, other):
    child, parent = rows(seed), rows(other, dim=12)
    found = float(same_relations(child, parent))
    assert float(same_relations(child @ rotation(turn), parent)) == pytest.approx(found, rel=1e-3)
    assert float(same_relations(child, parent @ rotation(turn, 12))) == pytest.approx(
        found, rel=1e-3)
    assert found > 0.0


def test_relations_by_hand():
    # similarities of the pairs (0,1), (0,2), (1,2): parent 1, 0, 0; child 0, 0, 1
    parent = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    child = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # mean of (1, 0, 1) over the variance of (1, 0, 0), that is 2/9
    assert float(same_relations(child, parent)) == pytest.approx((2 / 3) / (2 / 9))


def test_relations_of_a_parent_that_finds_all_alike_stay_small():
    same = torch.ones(4, 1)
    assert float(same_relations(same, same)) == 0.0
    nearly = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.001], [1.0, 0.002]]))
    assert float(same_relations(F.normalize(nearly + 0.01), nearly)) < 0.01


def test_to_say_the_mean_loses_one():
    parent = rows(0, 40, 3)
    similar = (parent @ parent.T)[~torch.eye(40, dtype=torch.bool)].mean()
    # unit rows whose similarity is that mean for each pair
    gram = torch.full((40, 40), float(similar)).fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh(gram)
    child = vectors * values.clamp(min=0.0).sqrt()
    assert float(same_relations(child, parent)) == pytest.approx(1.0, abs=0.05)


def test_a_smaller_child_is_asked_for_its_own_dimensions_and_for_all_relations():
    parent = rows(3)
    kept = np.array([1, 4, 6])
    child = F.normalize(parent[:, torch.from_numpy(kept)])
    found = float(as_parent(child, parent, kept))
    assert found == pytest.approx(float(same_relations(child, parent)), rel=1e-4)
    assert float(as_parent(child, parent, np.array([1, 6, 4]))) > found   # in their order


def test_a_loss_reaches_the_child_only():
    child, parent = rows(0).requires_grad_(), rows(1)
    as_parent(child, parent, np.arange(8)).backward()
    assert float(child.grad.abs().sum()) > 0.0


def test_similarity_prefers_the_right_pairs():
    pytest.importorskip('pytorch_metric_learning')
    places = torch.tensor([0, 0, 1, 1])
    a, b = torch.tensor([1.0, 0.1]), torch.tensor([0.1, 1.0])
    right = F.normalize(torch.stack([a, a + 0.05, b, b + 0.05]))
    wrong = right[[0, 2, 1, 3]]
    loss = Similarity()
    assert float(loss(right, places)) < 0.5 * float(loss(wrong, places))


def test_similarity_pushes_apart_what_is_not_one_place():
    pytest.importorskip('pytorch_metric_learning')
    x = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.3], [1.0, 0.3]]))
    x.requires_grad_()
    Similarity()(x, torch.tensor([0, 0, 1, 1])).backward()
    assert (x.grad[2:, 1] < 0.0).all()   # away from the first two
    assert (x.grad[:2, 1] > 0.0).all()


def test_similarity_of_places_that_differ_already_is_nothing():
    pytest.importorskip('pytorch_metric_learning')
    x = torch.eye(4)[[0, 0, 1, 1]].requires_grad_()
    loss = Similarity()(x, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
