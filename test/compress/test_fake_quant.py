# SPDX-License-Identifier: Apache-2.0
"""Rounding is an engine's, and its gradients are those of learned step sizes."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.fake_quant import as_activation, as_weight, weight_scale  # noqa: E402

FLOATS = st.lists(st.floats(-50.0, 50.0, width=32), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(FLOATS, st.floats(2.0 ** -7, 3.0, width=32), st.integers(0, 255))
def test_activations_are_rounded_as_onnx_says(values, scale, zero):
    x, by = np.array(values, np.float32), np.float32(scale)
    integers = np.clip(np.rint(x / by) + zero, 0, 255)
    found = as_activation(torch.from_numpy(x), torch.tensor(by), zero, 0, 255)
    np.testing.assert_array_equal(found.numpy(), (integers - zero).astype(np.float32) * by)


def test_gradients_of_a_scale_are_those_of_learned_steps():
    x = torch.tensor([0.26, 0.74, -0.6, 40.0, -9.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    as_activation(x, scale, 2, 0, 15).backward(torch.tensor([1.0, 10.0, 100.0, 1e3, 1e4]))
    assert x.grad.tolist() == [1.0, 10.0, 100.0, 0.0, 0.0]   # what is cut off passes nothing
    steps = [round(0.52) - 0.52, round(1.48) - 1.48, round(-1.2) + 1.2, 13.0, -2.0]
    wanted = sum(d * g for d, g in zip(steps, (1.0, 10.0, 100.0, 1e3, 1e4), strict=True))
    assert scale.grad.item() == pytest.approx(wanted, rel=1e-5)


def test_each_channel_has_the_scale_of_its_largest_weight():
    weight = torch.tensor([[1.0, -2.0], [0.25, 0.1], [0.0, 0.0]])
    scale = weight_scale(weight, 0, 127)
    assert scale.shape == (3, 1)
    assert (127 * scale).flatten().tolist() == pytest.approx([2.0, 0.25, 2.0])
    assert weight_scale(weight, None, 64).item() == pytest.approx(2.0 / 64)
    assert weight_scale(torch.zeros(2, 2), 0, 127).tolist() == [[1.0], [1.0]]


def test_gradients_pass_through_rounded_weights():
    weight = torch.tensor([0.3, -1.0, 0.0], requires_grad=True)
    rounded = as_weight(weight, weight_scale(weight, None, 127))
    assert (rounded - weight).abs().max() <= 1.0 / 254
    rounded.backward(torch.tensor([1.0, 2.0, 3.0]))
    assert weight.grad.tolist() == [1.0, 2.0, 3.0]
