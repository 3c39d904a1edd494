# SPDX-License-Identifier: Apache-2.0
import tracemalloc

from hypothesis import given, strategies as st
from hypothesis.extra import numpy as npst
import numpy as np
import pytest
import zstandard

from vpr_ros.nets.byte_streams import expand, expand_numbers, squeeze, squeeze_numbers

MIB = 1 << 20


@given(items=st.sampled_from(['<u1', '<u2', '<u4', '<u8']).flatmap(
    lambda kind: npst.arrays(kind, st.integers(0, 300))))
def test_numbers_come_back(items):
    frames = squeeze_numbers(items)
    assert len(frames) == (items.itemsize if items.size else 0)
    back = expand_numbers([memoryview(frame) for frame in frames], items.itemsize, items.size)
    assert back.dtype == items.dtype
    np.testing.assert_array_equal(back, items)


@given(data=st.binary(max_size=500))
def test_text_comes_back(data):
    assert expand(memoryview(squeeze(data)), len(data)) == data


@pytest.mark.parametrize('size', [0, 99, 101, 1 << 40])
def test_a_frame_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match=f'not of {size} bytes'):
        expand(memoryview(squeeze(bytes(100))), size)


@pytest.mark.parametrize('frame', [b'', b'no frame at all', squeeze(bytes(100))[:-3]])
def test_what_is_no_whole_frame_is_refused(frame):
    with pytest.raises(ValueError, match='a stream that'):
        expand(memoryview(frame), 100)


def test_a_frame_that_tells_no_size_is_refused():
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    with pytest.raises(ValueError, match='not of 100 bytes'):
        expand(memoryview(frame), 100)


def test_a_large_frame_is_refused_before_it_is_made():
    bomb = squeeze(bytes(256 * MIB))
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='not of 100 bytes'):
            expand(memoryview(bomb), 100)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(('items', 'most'), [
    ('bell', 1.02), (0.3, 1.03), (0.4, 1.05), (0.5, 1.02)])  # 0.4: between two lengths of a code
def test_indices_and_gaps_come_near_their_entropy(items, most):
    """Values of a bell curve, and gaps of chance, as pruned weights have them."""
    rng = np.random.default_rng(0)
    if items == 'bell':
        data = np.rint(rng.normal(0.0, 25.0, 200_000)).clip(-127, 127).astype(np.int8)
    else:
        data = rng.geometric(items, 200_000).clip(1, 255).astype(np.int8)
    share = np.bincount(data.view(np.uint8)) / len(data)
    share = share[share > 0]
    entropy = -(share * np.log2(share)).sum() * len(data) / 8
    assert sum(map(len, squeeze_numbers(data.view(np.uint8)))) < most * entropy
