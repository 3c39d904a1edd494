# SPDX-License-Identifier: Apache-2.0
"""Image sets through the evaluation: numbers, files, and the command as a user types it."""

import csv
from dataclasses import replace
import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from vpr_ros.core.map_setting import MapSetting
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.layouts import LAYOUTS
from vpr_ros.errors import VprError
from vpr_ros.tools import cli
from vpr_ros.tools.evaluate_sets import evaluate_sets, print_sets, write_sets
from vpr_ros.tools.evaluate_sets_command import routed


@pytest.fixture
def folder(tmp_path, toy_picture):
    """Twelve places and their queries; the last two look like one another's place."""
    for name, shown in (('map', range(0, 48, 4)), ('query', [*range(0, 40, 4), 44.5, 40.5])):
        for i, identity in enumerate(shown):
            file = tmp_path / 'set' / name / f'{i:03d}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), toy_picture(float(identity))[..., ::-1])
    return tmp_path / 'set'


@pytest.fixture
def pair(folder):
    return LAYOUTS['by-order'].open_pair(folder, LayoutOptions(tolerance_frames=0))


def test_every_set_model_and_setting_is_a_row(pair, describer, tmp_path):
    other = type(describer)(replace(describer.card, name='other', digest='other'))
    said = []
    results = evaluate_sets([pair, replace(pair, name='again')], [describer, other],
                            [MapSetting(), MapSetting.parse('int8'), MapSetting.parse('fp16:pca:8')
                             ], cache=tmp_path / 'cache', say=said.append)
    assert [(r.set, r.model, r.map_setting) for r in results] == [
        (name, model, setting) for name in ('set', 'again') for model in ('toy', 'other')
        for setting in ('fp32', 'int8', 'fp16 pca 8')]
    first = results[0]
    assert first.scores.recall_at_1 == pytest.approx(10 / 12)
    assert first.scores.recall_at_full_precision == pytest.approx(10 / 12)
    assert (first.map_images, first.scores.queries, first.dim) == (12, 12, 256)
    assert first.map_mb == pytest.approx(12 * 256 * 4 / 1e6, abs=1e-4)
    assert results[2].map_mb == pytest.approx(12 * 8 * 2 / 1e6, abs=1e-4)
    assert first.protocol == pair.protocol
    assert said[0] == 'set, toy: 24 of 24 images described, the others were known'
    assert said[2] == 'again, toy: 0 of 24 images described, the others were known'


def test_results_are_written_to_be_read_by_machines(pair, describer, tmp_path):
    results = evaluate_sets([pair], [describer])
    write_sets(results, tmp_path / 'out', False, {'layout': 'by-order'})
    read = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert read['results'][0]['recall_at_1'] == pytest.approx(10 / 12)
    assert read['protocol'].startswith('recall@N: share of queries')
    with (tmp_path / 'out' / 'results.csv').open() as stream:
        row, = csv.DictReader(stream)
    assert float(row['recall_at_5']) == pytest.approx(read['results'][0]['recall_at_5'])
    assert row['protocol'] == pair.protocol
    assert float(row['recall_at_1_low']) < 10 / 12 < float(row['recall_at_1_high'])
    with pytest.raises(VprError, match='exists already'):
        write_sets(results, tmp_path / 'out', False, {})


def test_the_table_cuts_no_number_and_says_how_it_was_judged(pair, describer):
    text = io.StringIO()
    print_sets(evaluate_sets([pair], [describer]), Console(file=text, width=60))
    printed = text.getvalue()
    assert 'set: 12 map images, 12 queries, 12 of them with a positive' in printed
    assert '0.833' in printed
    assert '…' not in printed
    assert f'set: {pair.protocol}' in printed
    assert 'toy: images to 16x16 area' in printed


def test_a_set_without_a_positive_says_what_to_look_at(pair, describer):
    alone = replace(pair, positives=tuple(() for _ in pair.query.images))
    text = io.StringIO()
    print_sets(evaluate_sets([alone], [describer]), Console(file=text, width=200))
    assert 'no query of set has a positive: nothing can be recalled; is the tol' in text.getvalue()


def test_one_query_is_enough(folder, describer):
    for file in sorted((folder / 'query').iterdir())[1:]:
        file.unlink()
    for file in sorted((folder / 'map').iterdir())[1:]:
        file.unlink()
    pair = LAYOUTS['by-order'].open_pair(folder, LayoutOptions(tolerance_frames=0))
    assert evaluate_sets([pair], [describer])[0].scores.recall_at_1 == 1.0


def test_nothing_to_do_is_refused(pair, describer):
    all_of_them = ([pair], [describer], [MapSetting()])
    for missing in range(3):
        pairs, models, settings = ([] if i == missing else each
                                   for i, each in enumerate(all_of_them))
        with pytest.raises(VprError, match='at least one set, one model and one map setting'):
            evaluate_sets(pairs, models, settings)


def test_a_setting_that_does_not_fit_is_refused_before_anything_is_described(pair, describer):
    said: list[str] = []
    with pytest.raises(VprError, match=rf'{pair.name}, .*, fp32 truncate 4096: 4096 dimensions'):
        evaluate_sets([pair], [describer], [MapSetting(), MapSetting.parse('fp32:truncate:4096')],
                      say=said.append)
    assert not said


@pytest.mark.parametrize(('words', 'wanted'), [
    (['evaluate', 'x', '--layout', 'at'], ['evaluate-set', 'x', '--layout', 'at']),
    (['evaluate', 'x', '--layout=at'], ['evaluate-set', 'x', '--layout=at']),
    (['evaluate', 'bag', '--map', 'm'], ['evaluate', 'bag', '--map', 'm']),
    (['map', 'build', '--layout', 'x'], ['map', 'build', '--layout', 'x']), ([], [])])
def test_evaluate_with_a_layout_is_evaluate_set(words, wanted):
    assert routed(words) == wanted


def run(monkeypatch, *words):
    monkeypatch.setattr('sys.argv', ['vpr', *map(str, words)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


def test_a_user_evaluates_a_folder_with_the_network_that_ships(folder, tmp_path, monkeypatch,
                                                               capsys):
    for file in folder.rglob('*.png'):   # toy pictures are one pixel: make them worth a look
        seed = int.from_bytes(cv2.imread(str(file))[0, 0].tobytes(), 'big')
        picture = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(file), cv2.resize(picture, (80, 60), interpolation=cv2.INTER_CUBIC))
    out = tmp_path / 'out'
    words = ('evaluate', folder, '--layout', 'by-order', '--tolerance-frames', 0, '--out', out,
             '--map-setting', 'fp32', '--map-setting', 'int8', '--engine', 'onnxruntime',
             '--cache', tmp_path / 'cache')
    assert run(monkeypatch, *words) == 0
    said = capsys.readouterr()
    assert '10 of them' not in said.out
    assert 'set: 12 map images, 12 queries' in said.out
    assert '24 of 24 images described' in said.err
    read = json.loads((out / 'results.json').read_text())['results']
    assert [row['map_setting'] for row in read] == ['fp32', 'int8']
    assert read[0]['recall_at_1'] > 0.6
    assert json.loads((out / 'settings.json').read_text())['tolerance_frames'] == 0
    assert run(monkeypatch, *words) == 2
    assert 'exists already' in capsys.readouterr().err
    assert run(monkeypatch, *words, '--force') == 0
    assert '0 of 24 images described' in capsys.readouterr().err


def test_what_is_wrong_is_one_line_and_a_drawing(folder, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, 'evaluate', folder, '--layout', 'pitts30k', '--out',
               tmp_path / 'out') == 2
    line, _, drawing = capsys.readouterr().err.partition('\n\n')
    assert line.startswith('vpr: ')
    assert '\n' not in line
    assert '      {train,val,test}/\n        database/' in drawing
    assert run(monkeypatch, 'evaluate', folder, folder, '--layout', 'at', '--layout', 'at',
               '--layout', 'at', '--out', tmp_path / 'out') == 2
    assert '2 folders and 3 layouts: give one --layout for all' in capsys.readouterr().err


def test_layouts_are_listed_and_drawn(monkeypatch, capsys):
    assert run(monkeypatch, 'layouts') == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in LAYOUTS)
    assert run(monkeypatch, 'layouts', 'nordland') == 0
    drawn = capsys.readouterr().out
    assert 'images-00001.png     the same number: the same place' in drawn
    assert 'flags that must be given: --map-name, --query-name, --split, --tolerance-fr' in drawn
    assert run(monkeypatch, 'layouts', 'kitti') == 2
