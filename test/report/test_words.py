# SPDX-License-Identifier: Apache-2.0
"""Numbers are said so that nobody takes them for more, or less, than they are."""

from hypothesis import given, strategies as st
import pytest

from vpr_ros.report.words import compared, headline, number, rough, share, subline

REPORT = {'frames': 1000, 'accepted': 962, 'wrong_fixes': 6, 'frames_with_match': 980,
          'fixes_off_map': 2, 'position_error_m_median': 0.4, 'latency_ms_p50': 18.3}


def test_a_run_in_one_line():
    assert headline(REPORT) == ('96.2 % of frames got a pose, 99.4 % of them right, '
                                'median 0.40 m, 18 ms')


def test_no_pose_is_said_plainly():
    assert headline({'frames': 12, 'accepted': 0}) == 'None of the 12 frames got a pose'
    assert headline({'frames': 1, 'accepted': 0}) == 'The only frame got no pose'


def test_all_right_is_said_only_of_all():
    assert 'all of them right' in headline({**REPORT, 'wrong_fixes': 0})
    most = {**REPORT, 'frames': 100_000, 'accepted': 100_000, 'wrong_fixes': 1}
    assert '100 % of frames' in headline(most)
    assert '99.9 % of them right' in headline(most)


def test_off_the_map_is_told_apart():
    said = subline(REPORT)
    assert said.startswith('The map knows the place of 980 of 1 000 frames')
    assert said.endswith('20 were taken where the map has no place: 2 of them got one.')
    assert 'no place near any' in subline({'frames': 5, 'frames_with_match': 0})


def test_what_was_compared():
    said = compared({'bags': ['a/run1', 'b/run2.mcap'], 'map': '/data/depot.map', 'model': 'net',
                     'engine': 'onnxruntime: onnxruntime 11 ms, torch 30 ms'})
    assert said == 'run1 + run2.mcap on the map depot.map, seen by net (onnxruntime)'


@given(part=st.integers(0, 10**6), more=st.integers(0, 10**6))
def test_only_all_is_100_percent_and_only_none_is_0(part, more):
    said = share(part, part + more)
    assert (said == '100 %') == (more == 0 and part > 0)
    assert (said == '0 %') == (part == 0 and more > 0)


@pytest.mark.parametrize(('value', 'said'), [
    (0.5332, '0.533'), (16.21, '16.2'), (1234.5, '1234'), (0, '0'), (12345, '12 345'),
    (float('nan'), '–'), (None, '–'), (0.0, '0'), (True, 'yes'), ('x', 'x')])
def test_three_digits_count(value, said):
    assert number(value) == said


@pytest.mark.parametrize(('value', 'said'), [
    (0.5332, '0.53'), (16.21, '16'), (154.0, '154'), (1.95, '1.9'), (None, '–'), (0.0, '0')])
def test_two_digits_are_rough(value, said):
    assert rough(value) == said
