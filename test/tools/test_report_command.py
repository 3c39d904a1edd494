# SPDX-License-Identifier: Apache-2.0
"""`vpr report`: what it refuses, and which page it writes."""

from pathlib import Path

import pytest

from vpr_ros.errors import VprError
from vpr_ros.tools import report_command


@pytest.fixture
def written(monkeypatch):
    """Stand in for the pages; return what was asked for."""
    asked = []
    monkeypatch.setattr('vpr_ros.report.page.write_page',
                        lambda folder, map_path, out: asked.append(out) or out or folder)
    monkeypatch.setattr('vpr_ros.report.comparison.write_comparison',
                        lambda folders, page: asked.append(page) or page)
    return asked


def test_one_evaluation_gets_its_page(written, tmp_path):
    [line] = report_command.make_page([tmp_path], None, None, False)
    assert line == f'page written: {tmp_path}'
    assert written == [None]


def test_several_are_compared(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report_command.make_page([tmp_path, tmp_path], None, None, False)
    assert written == [Path('comparison.html')]


def test_what_is_there_is_kept_without_force(written, tmp_path):
    page = tmp_path / 'page.html'
    page.touch()
    for folders in ([tmp_path], [tmp_path, tmp_path]):
        with pytest.raises(VprError, match=r'page\.html exists already.*--force'):
            report_command.make_page(folders, None, page, False)
    assert written == []
    report_command.make_page([tmp_path], None, page, True)
    assert written == [page]


def test_a_comparison_has_no_map(written, tmp_path):
    with pytest.raises(VprError, match='--map is for one evaluation'):
        report_command.make_page([tmp_path, tmp_path], tmp_path, None, False)
