# SPDX-License-Identifier: Apache-2.0
"""Several maps, models and settings in one command: what fits is done once, and compared."""

import csv
from dataclasses import replace
import hashlib
import io
import json
import shutil
import sys

import pytest
from rich.console import Console

from vpr_ros.core.judged import Tolerance
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import GRAPH, read_card, seal_model, WEIGHTS
from vpr_ros.tools import evaluate_grid
from vpr_ros.tools.evaluate_grid import Asked, evaluate_pairings
from vpr_ros.tools.evaluate_pairings import pairings
from vpr_ros.tools.query_run import QuerySource


@pytest.fixture
def model(describer, tmp_path):
    """Make a folder with the card of a toy network: `model(name, seed)`."""
    def make(name, seed=0):
        folder = tmp_path / name
        folder.mkdir()
        weights = b'weights %d' % seed
        (folder / WEIGHTS).write_bytes(weights)
        (folder / GRAPH).write_bytes(b'graph')
        seal_model(folder, replace(describer.card, name=name,
                                   digest=hashlib.sha256(weights).hexdigest()))
        return folder
    return make


@pytest.fixture
def of_model(road, tmp_path):
    """Return a copy of the map that claims to be of a model: `of_model(folder, name)`."""
    def make(folder, name):
        replace(PlaceMap.load(road), card=read_card(folder)).save(tmp_path / name)
        return tmp_path / name
    return make


@pytest.fixture
def toy_engine(monkeypatch, describer):
    """Let the toy network run every model folder; return the folders that were loaded."""
    loaded = []

    def load(folder, threads, engine):
        loaded.append(folder.name)
        toy = type(describer)(read_card(folder))
        toy.engine, toy.precision, toy.choice = 'toy', 'fp32', 'toy fp32, as asked'
        return toy

    monkeypatch.setattr(evaluate_grid, 'load_describer', load)
    return loaded


def names(pairs):
    return [pair.name for pair in pairs]


def test_each_map_meets_its_own_model(model, of_model):
    one, two = model('one', 1), model('two', 2)
    maps = [of_model(two, 'b.map'), of_model(one, 'a.map'), of_model(one, 'c.map')]
    pairs, remarks = pairings(maps, [one, two], [])
    assert [(pair.place_map.name, pair.model.name) for pair in pairs] == [
        ('a.map', 'one'), ('c.map', 'one'), ('b.map', 'two')]
    assert names(pairs) == ['a', 'c', 'b']
    assert remarks == ()


def test_names_tell_settings_and_twins_apart(model, of_model, tmp_path):
    one, twin = model('one', 1), model('twin', 1)
    pairs, _ = pairings([of_model(one, 'a.map')], [one, twin],
                        [tmp_path / 'p.yaml', tmp_path / 'q.yaml'])
    assert names(pairs) == ['a-one-p', 'a-one-q', 'a-twin-p', 'a-twin-q']
    (tmp_path / 'sub').mkdir()
    first = of_model(one, 'a.map2')
    second = of_model(one, 'sub/a.map2')
    assert names(pairings([first, second], [one], [])[0]) == ['a-1', 'a-2']


def test_a_map_without_its_model_is_named(model, of_model):
    one, two = model('one', 1), model('two', 2)
    lost = of_model(two, 'lost.map')
    with pytest.raises(VprError, match=r'lost\.map was built by model two.*--model'):
        pairings([of_model(one, 'a.map'), lost], [one], [])


def test_a_model_without_a_map_is_told_of(model, of_model):
    one, two = model('one', 1), model('two', 2)
    pairs, remarks = pairings([of_model(one, 'a.map')], [one, two], [])
    assert len(pairs) == 1
    assert 'two is the model of none of these maps' in remarks[0]


@pytest.fixture
def grid(drive, halves, model, of_model, toy_engine, tmp_path):
    """Evaluate two maps with two files of settings each: `grid(force=False)`."""
    one = model('one', 1)
    maps = [of_model(one, 'a.map'), of_model(one, 'b.map')]
    params = []
    for steps in (1, 3):
        params.append(tmp_path / f'confirm{steps}.yaml')
        params[-1].write_text(f'/**:\n  ros__parameters:\n    confirm_steps: {steps}\n')
    asked = Asked((drive('query', halves(10.3, 30.3)),), QuerySource(odom='/odom'),
                  Tolerance(1.2, 45.0), cache=tmp_path / 'cache')

    def run(force=False, asked=asked):
        evaluate_pairings(asked, maps, [one], params, tmp_path / 'out', force,
                          Console(quiet=True))
    run.asked, run.maps = asked, maps
    return run


def changed(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob('*/report.json')}


def test_all_are_done_and_compared_and_not_done_again(grid, toy_engine, tmp_path):
    grid()
    out = tmp_path / 'out'
    folders = ['a-confirm1', 'a-confirm3', 'b-confirm1', 'b-confirm3']
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == folders
    assert toy_engine == ['one']
    with (out / 'comparison.csv').open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert [row['name'] for row in rows] == folders
    for row in rows:
        report = json.loads((out / row['name'] / 'report.json').read_text())
        assert int(row['accepted']) == report['accepted']
        assert float(row['recall_at_1']) == report['recall_at_1']
    before = changed(out)
    grid()
    assert changed(out) == before
    shutil.rmtree(out / 'b-confirm1')
    grid()
    after = changed(out)
    assert [name for name in folders if after[name] != before[name]] == ['b-confirm1']
    grid(force=True)
    assert all(changed(out)[name] != after[name] for name in folders)


def test_other_settings_do_not_replace_a_result_unasked(grid):
    grid()
    other = replace(grid.asked, tolerance=Tolerance(3.0, 45.0))
    with pytest.raises(VprError, match='4 of 4 evaluations failed.*made with other settings'):
        grid(asked=other)
    grid(force=True, asked=other)
    grid(asked=other)


def test_one_that_fails_does_not_keep_the_others(grid, tmp_path):
    (tmp_path / 'confirm3.yaml').write_text('/**:\n  ros__parameters:\n    confirm_steps: -3\n')
    with pytest.raises(VprError, match=r'2 of 4 evaluations failed: a-confirm3 \(top_k must'):
        grid()
    out = tmp_path / 'out'
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        'a-confirm1', 'b-confirm1']
    assert len((out / 'comparison.csv').read_text().splitlines()) == 3


def test_when_only_one_is_left_the_failures_are_still_named(grid, tmp_path):
    (tmp_path / 'b.map' / 'map.json').unlink()
    with pytest.raises(VprError, match='map.json cannot be read'):
        grid()   # before anything is done
    (tmp_path / 'confirm3.yaml').write_text('/**:\n  ros__parameters:\n    confirm_steps: -3\n')
    grid.maps.pop()
    with pytest.raises(VprError, match='1 of 2 evaluations failed: a-confirm3'):
        grid()
    assert (tmp_path / 'out/comparison.csv').is_file()
    assert (tmp_path / 'out/comparison.html').is_file()


def test_one_of_each_is_the_folder_itself(drive, halves, model, of_model, toy_engine, tmp_path):
    one = model('one', 1)
    asked = Asked((drive('query', halves(10.3, 30.3)),), QuerySource(odom='/odom'),
                  Tolerance(1.2, 45.0), thumbnails=False)
    console = Console(width=120, record=True, file=io.StringIO())
    evaluate_pairings(asked, [of_model(one, 'a.map')], [one], [], tmp_path / 'run2.eval', False,
                      console)
    assert (tmp_path / 'run2.eval/report.json').is_file()
    said = console.export_text()
    assert 'of frames got a pose' in said
    assert 'right is within 1.2 m and 45 deg' in said
    assert said.index('of frames got a pose') < said.index('pictures alone') < said.index(
        'protocol:') < said.index('next:')
    with pytest.raises(VprError, match='exists already'):
        evaluate_pairings(asked, [tmp_path / 'a.map'], [one], [], tmp_path / 'run2.eval', False,
                          console)


def test_without_plotly_all_but_the_page_is_there(grid, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'vpr_ros.report.page', None)
    monkeypatch.setitem(sys.modules, 'vpr_ros.report.comparison', None)
    grid()
    assert (tmp_path / 'out/a-confirm1/outcomes.jsonl').is_file()
    assert not (tmp_path / 'out/a-confirm1/report.html').exists()
    assert (tmp_path / 'out/comparison.csv').is_file()
