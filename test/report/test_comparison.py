# SPDX-License-Identifier: Apache-2.0
"""Several evaluations side by side."""

import json
import re
import shutil

import pytest

from vpr_ros.errors import VprError
from vpr_ros.report.comparison import LINES, write_comparison
from vpr_ros.report.comparison_table import marks_of


@pytest.fixture
def folders(make, tmp_path):
    return [make(tmp_path / 'careful.eval', wrong=False, pictures=False).folder,
            make(tmp_path / 'bold.eval', wrong=True, pictures=False, seed=1).folder]


def test_the_best_of_a_row_is_marked(folders, tmp_path):
    text = write_comparison(folders, tmp_path / 'both.html').read_text()
    row = re.search(r'<th scope="row"[^>]*>wrong poses</th>(.*?)</tr>', text)[1]
    assert row == '<td class="best">0</td><td class="">12</td>'
    assert '<h1>careful gives most poses' in text
    assert 'careful and bold</th><td>300</td>' in text


def test_equal_runs_are_called_equal(make, tmp_path):
    twice = [make(tmp_path / f'{name}.eval', wrong=False, pictures=False).folder
             for name in ('one', 'other')]
    assert '<h1>all give as many poses' in write_comparison(twice, tmp_path / 'x.html').read_text()


@pytest.mark.parametrize(('values', 'intervals', 'better', 'marks'), [
    ([0.9, 0.8, None], [None] * 3, 1, ['best', '', '']),
    ([0.9, 0.8, 0.2], [(0.7, 0.95), (0.6, 0.9), (0.1, 0.3)], 1, ['best', 'near', '']),
    ([3, 1, 1], [None] * 3, -1, ['', 'best', 'best']),
    ([3, 3], [None] * 2, -1, ['', '']),
    ([3, 4], [None] * 2, 0, ['', ''])])
def test_marks(values, intervals, better, marks):
    assert marks_of(values, intervals, better) == marks


def test_what_is_hard_to_compare_is_said(folders, tmp_path):
    for name, value in (('report.json', {'tolerance_m': 5.0}), ('settings.json', {'bags': ['x']})):
        path = folders[1] / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **value}))
    text = write_comparison(folders, tmp_path / 'both.html').read_text()
    assert 'different tolerances' in text
    assert 'different recordings' in text


def test_runs_of_one_name_are_told_apart(folders, tmp_path):
    twin = shutil.copytree(folders[0], tmp_path / 'other' / 'careful.eval')
    text = write_comparison([folders[0], twin], tmp_path / 'both.html').read_text()
    assert 'careful (1)' in text
    assert 'careful (2)' in text


@pytest.mark.parametrize('count', [0, 25])
def test_none_or_too_many_are_refused(folders, tmp_path, count):
    with pytest.raises(VprError, match=f'^{count} evaluations cannot be compared'):
        write_comparison([folders[0]] * count, tmp_path / 'x.html')


def test_every_line_is_another():
    assert len(set(LINES)) == len(LINES) == 24


def test_one_that_is_left_is_shown_alone(folders, tmp_path):
    text = write_comparison(folders[:1], tmp_path / 'x.html').read_text()
    assert '<th scope="col">careful</th>' in text
