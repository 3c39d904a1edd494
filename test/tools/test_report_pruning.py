# SPDX-License-Identifier: Apache-2.0
"""`vpr report` on folders that vpr prune has written."""

from dataclasses import replace

import pytest

from vpr_ros.compress.prune_points import Point, Recalled, write_points
from vpr_ros.errors import VprError
from vpr_ros.tools.report_command import make_page

POINT = Point(0, 0.0, 0.0, 1000, 64, 1000, 1000, None,
              (Recalled('yard', True, 100, 0.90, 0.95, None, '5 m'),), None,
              {'backbone.conv1': (3, 16)}, '')


@pytest.fixture
def run(tmp_path):
    """Return what writes a run of three steps that lose `lost` of recall each."""
    def write(name, lost=0.008, seed=0):
        folder = tmp_path / name
        folder.mkdir()
        points = [replace(POINT, step=step, sparsity=0.2 * step, folder=f'step_0{step}',
                          recalls=(replace(POINT.recalls[0], at_1=0.9 - lost * step),))
                  for step in range(3)]
        write_points(points, {'learn': {'seed': seed}, 'goal': {'max_drop_points': 1.0}}, folder)
        return folder
    return write


def test_the_page_marks_the_step_that_recalls_enough(run):
    folder = run('small')
    assert make_page([folder], None, None, False) == [f'page written: {folder / "report.html"}']
    text = (folder / 'report.html').read_text()
    assert 'Take step_01: recall@1 of the next step fell by more than 1 points' in text


def test_several_runs_have_one_page(run, tmp_path):
    out = tmp_path / 'both.html'
    make_page([run('a'), run('b', seed=1)], None, out, False)
    assert '2 runs' in out.read_text()
    assert out.with_suffix('.csv').exists()
    with pytest.raises(VprError, match=r'both\.html exists already'):
        make_page([run('c')], None, out, False)


def test_runs_and_evaluations_are_not_mixed(run, tmp_path):
    with pytest.raises(VprError, match='small is a pruning run and others are not'):
        make_page([tmp_path, run('small')], None, None, False)
    with pytest.raises(VprError, match='--map is for one evaluation'):
        make_page([tmp_path / 'small'], tmp_path, None, False)
