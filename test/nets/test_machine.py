# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from vpr_ros.nets.machine import this_machine


def test_this_machine_says_something():
    machine = this_machine()
    assert machine.processor
    assert 1 <= machine.cores <= machine.cores_there


@pytest.mark.parametrize(('flags', 'int8', 'bf16'), [
    (('avx2', 'fma'), False, False), (('avx2', 'avx_vnni'), True, False),
    (('avx512f', 'avx512_vnni', 'avx512_bf16'), True, True), (('asimd', 'asimddp'), True, False)])
def test_its_flags_say_what_it_multiplies(flags, int8, bf16):
    machine = replace(this_machine(), flags=flags)
    assert (machine.int8, machine.bf16) == (int8, bf16)


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'int8', 'fp16'])
def test_a_large_product_can_be_timed_or_is_not_there(precision, monkeypatch):
    pytest.importorskip('torch')
    from vpr_ros.nets import throughput
    monkeypatch.setattr(throughput, 'SIDE', 64)
    product = throughput.matrix_product(precision)
    assert product is None or product() is not None
    assert precision != 'fp32' or product is not None
    assert precision != 'fp16' or product is None


def test_multiply_adds_are_counted(model_folder):
    from vpr_ros.nets.throughput import multiply_adds
    counted = multiply_adds(model_folder)
    # the first convolution alone: 32x32 positions, 3x3x3 weights, 8 filters
    assert 32 * 32 * 27 * 8 < counted < 20e6
