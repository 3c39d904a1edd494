# SPDX-License-Identifier: Apache-2.0
import csv
from dataclasses import replace
import os

import pytest

from vpr_ros.compress.prune_points import (
    part_of,
    Point,
    POINTS,
    read_points,
    Recalled,
    replaced,
    Speed,
    TABLE,
    write_points,
)
from vpr_ros.errors import ModelError

POINT = Point(
    2, 0.35, 0.5, 12_345, 48, 50_000, 192_000, 0.25,
    (Recalled('yard', True, 40, 0.75, 0.875, None, '5 m'),
     Recalled('hall', False, 20, 0.5, 0.9, 0.45, '1 m')),
    Speed('onnx fp32', 2.0, 6.0, 0.5, 4.0, 10_000), {'backbone.0': (3, 16)}, 'step_02')
DENSE = replace(POINT, step=0, sparsity=0.0, loss=None, speed=None, folder='')


def test_points_come_back_as_they_went(tmp_path):
    write_points([DENSE, POINT], {'seed': 3}, tmp_path)
    assert read_points(tmp_path) == ([DENSE, POINT], {'seed': 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == [TABLE, POINTS]


def test_the_table_has_a_line_a_step_and_set(tmp_path):
    write_points([DENSE, POINT], {}, tmp_path)
    with (tmp_path / TABLE).open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert [(row['step'], row['set']) for row in rows] == [
        ('0', 'yard'), ('0', 'hall'), ('2', 'yard'), ('2', 'hall')]
    assert rows[0]['describe_ms'] == rows[0]['recall_at_1_on_parents_map'] == ''
    assert (rows[3]['recall_at_1'], rows[3]['recall_at_1_on_parents_map'], rows[3]['describe_ms'],
            rows[3]['chooses'], rows[3]['model']) == ('0.5', '0.45', '2.0', 'False', 'step_02')


def test_sums_of_a_point():
    assert POINT.total_bytes == 242_000
    assert POINT.speed.ratio == pytest.approx(2.5 / 10.0)
    assert POINT.chosen_by() == 0.75   # hall is not chosen by


@pytest.mark.parametrize('text', ['{', '{"points": []}', '{"points": [{"step": 1}]}', '[]'])
def test_what_is_no_table_is_refused(tmp_path, text):
    (tmp_path / POINTS).write_text(text)
    with pytest.raises(ModelError, match=r'points\.json is no table of a pruning run'):
        read_points(tmp_path)


def test_an_empty_folder_has_no_points(tmp_path):
    with pytest.raises(ModelError, match='name the folder that vpr prune wrote'):
        read_points(tmp_path)


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_a_full_disk_leaves_the_old_tables(tmp_path, monkeypatch, call):
    write_points([DENSE], {}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ModelError, match='No space left on device.*make room and run the same'):
        write_points([DENSE, POINT], {}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_is_replaced_whole_or_not(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'old')
    stream = replaced(path)
    stream.__enter__().write(b'half')
    assert part_of(path).exists()
    assert not stream.__exit__(KeyError, KeyError(), None)
    assert path.read_bytes() == b'old'
    with replaced(path) as stream:
        stream.write(b'new')
    assert path.read_bytes() == b'new'
    assert list(tmp_path.iterdir()) == [path]
