# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st

from vpr_ros.ros.rate_gate import RateGate

SECOND_NS = 1_000_000_000


def admitted(rate_hz, stamps_ns):
    gate = RateGate(rate_hz)
    return [stamp for stamp in stamps_ns if gate.admits(stamp)]


def test_without_a_limit_all_pass():
    assert len(admitted(0.0, [5, 5, 3])) == 3


def test_half_of_a_camera_of_twice_the_rate():
    stamps = [SECOND_NS // 20 * i for i in range(100)]
    assert len(admitted(10.0, stamps)) == 50


def test_jitter_does_not_halve_a_camera_of_just_that_rate():
    jitter = [0, 4_000_000, -3_000_000, 2_000_000, -4_000_000]
    stamps = [SECOND_NS + SECOND_NS // 10 * i + jitter[i % 5] for i in range(100)]
    assert len(admitted(10.0, stamps)) == 100


def test_time_that_jumps_back_opens_the_gate():
    gate = RateGate(1.0)
    assert gate.admits(100 * SECOND_NS)
    assert not gate.admits(100 * SECOND_NS + 1)
    assert gate.admits(5 * SECOND_NS)
    assert not gate.admits(5 * SECOND_NS + 1)


@given(st.lists(st.integers(1, 2 * SECOND_NS), min_size=1, max_size=200),
       st.floats(0.5, 50.0))
def test_never_more_than_the_rate_and_never_silent(gaps_ns, rate_hz):
    stamps = [sum(gaps_ns[:i]) for i in range(len(gaps_ns))]
    passed = admitted(rate_hz, stamps)
    period_ns = SECOND_NS / rate_hz
    assert len(passed) <= (stamps[-1] - stamps[0]) / period_ns + 2.1
    for stamp in stamps:  # whatever is left out has one let through less than a period before
        assert any(0 <= stamp - other < 1.2 * period_ns for other in passed)
