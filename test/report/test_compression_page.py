# SPDX-License-Identifier: Apache-2.0
"""The page of a compression: words and tables, and what a headless Chromium shows of it."""

import json
import re

import pytest

from vpr_ros.errors import VprError
from vpr_ros.report.compression_page import write_compression_page
from vpr_ros.report.compression_run import CompressionRun, smaller_by, sparsity
from vpr_ros.report.compression_words import headline

SETS = (('yard', True, 200), ('hall <b>', False, 100))
LAYERS = ('backbone.features.0.0', 'backbone.features.1.conv.0.0', 'aggregator.conv')
KINDS = ('dense', 'pruned', 'pruned', 'shared')
PACKED = (8_000_000, 6_000_000, 5_000_000, 1_000_000)


def recalls(at_1, crossed=None):
    return [{'pair': name, 'chooses': chooses, 'queries': queries, 'at_1': at_1 - 0.1 * row,
             'at_5': min(at_1 + 0.05, 1.0), 'on_parents_map_at_1': crossed,
             'protocol': f'{name} by 5 m'} for row, (name, chooses, queries) in enumerate(SETS)]


def written(folder, drop=0.002, scan=True, models=True):
    """Write what a run would, whose recall falls by `drop` a step."""
    points = [{
        'step': step, 'kind': kind, 'parameters': 2_000_000, 'dim': 512,
        'weights_bytes': 9_000_000, 'folder_bytes': 18_000_000, 'packed_bytes': PACKED[step],
        'parts': {'codebooks': 1000 * step, 'indices': PACKED[step] // 2,
                  'gaps': PACKED[step] // 4, 'plain': PACKED[step] // 8, 'rest': 20_000},
        'loss': 0.01 * step or None, 'recalls': recalls(0.9 - drop * step, 0.9 - 2 * drop * step),
        'layers': [{'name': name, 'weights': 1000 * (row + 1), 'zeros': 180 * step * (row + 1),
                    'values': 200 if kind == 'shared' else 900, 'bits': 32 if row == 0 else 8,
                    'packed_bytes': 600.0 * (row + 1)} for row, name in enumerate(LAYERS)],
        'folder': f'step_{step:02d}' if step else ''} for step, kind in enumerate(KINDS)]
    folder.mkdir(parents=True)
    (folder / 'compression.json').write_text(json.dumps({
        'settings': {'compress': {'prune': 0.54, 'bits': 8}, 'learn': {'seed': 0},
                     'plans': [{'name': LAYERS[0]}], 'parent': 'aa'}, 'points': points}))
    if models:
        row = {'digest': 'x', 'dim': 512, 'memory_mb': 140.0, 'describe_ms': 12.5,
               'engine': 'openvino fp32', 'weights_bytes': 9_000_000, 'folder_bytes': 18_000_000}
        (folder / 'models.json').write_text(json.dumps({'models': [
            {**row, 'label': 'parent', 'kind': 'dense', 'model': 'm/dense',
             'packed_bytes': 8_000_000, 'recalls': recalls(0.9)},
            {**row, 'label': 'smaller', 'kind': 'channels pruned', 'model': 'm/smaller',
             'packed_bytes': 900_000, 'recalls': recalls(0.897)},
            {**row, 'label': 'model.vprz', 'kind': 'weights compressed',
             'model': str(folder / 'step_03'), 'packed_bytes': 1_000_000,
             'recalls': recalls(0.9 - 3 * drop)}]}))
    if scan:
        (folder / 'scan.json').write_text(json.dumps({
            'shares': [0.3, 0.5], 'bits': [2, 8], 'run': 'r', 'pictures': 32,
            'proposed': {'budget_points': 5.0, 'disagreement': 0.01, 'plans': []},
            'layers': [{'name': name, 'weights': 1000, 'pruned': [0.001, 0.02],
                        'shared': [0.3, 1e-5]} for name in LAYERS]}))
    return folder


@pytest.fixture
def run(tmp_path):
    return CompressionRun.read(written(tmp_path / 'small'))


def test_what_came_out_is_said_in_a_line(run):
    assert headline(run) == ('1.00 MB instead of 9.00 MB, 1/9.0; recall@1 0.894 instead of 0.900')
    assert smaller_by(run, run.taken) == 9.0
    assert sparsity(run.taken) == pytest.approx(0.54)


def test_the_page_tells_what_to_take_and_what_it_does_not_do(run):
    text = write_compression_page(run).read_text()
    assert 'Take model.vprz, step 3: the last step. 54% of the weights are zero' in text
    assert 'the network is as fast as before, and as large once it is loaded' in text
    assert 'hall &lt;b&gt; 0.800 → 0.794' in text
    assert 'may query maps that this one has built: recall@1 yard 0.888' in text
    assert 'smaller (channels pruned) is smaller, 0.900 MB, and recalls 0.897' in text
    assert 'was proposed for a budget of 5 points of recall@1' in text
    assert 'hall <b>' not in text
    assert 'in the manner of Deep Compression' in text
    assert re.search(r'features\.0\.0</th><td>1 000</td><td>54%</td><td>200</td><td>floats', text)


def test_a_great_loss_is_a_warning(tmp_path):
    run = CompressionRun.read(written(tmp_path / 'lossy', drop=0.02))
    text = write_compression_page(run).read_text()
    assert 'That is 6.0 points less: learn longer' in text


def test_keep_the_dense_one_when_nothing_recalls_enough(tmp_path):
    run = CompressionRun.read(written(tmp_path / 'bad'), 0, 'recall@1 fell')
    assert headline(run) == 'No step recalls enough: keep the dense network'
    assert 'Take the dense network: recall@1 fell.' in write_compression_page(run).read_text()


@pytest.mark.parametrize(('name', 'text', 'said'), [
    ('compression.json', None, 'cannot be read'),
    ('compression.json', '[]', 'has no table in compression.json'),
    ('compression.json', '{"settings": {}, "points": []}', 'misses'),
    ('models.json', '{"models": [{"recalls": []}]}', 'do not fit together'),
    ('scan.json', '{', 'cannot be read')])
def test_a_damaged_run_is_refused(tmp_path, name, text, said):
    folder = written(tmp_path / 'run')
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises(VprError, match=said):
        CompressionRun.read(folder)


@pytest.mark.parametrize(('width', 'dark'), [(1400, False), (700, True)])
def test_a_run_is_drawn(browser, run, width, dark):
    browser.open(write_compression_page(run), width, dark=dark)

    def of(plot, key):
        return browser.js(f"document.getElementById('plot-{plot}').data{key}")
    for plot in ('size', 'parts', 'scan'):
        assert browser.js(f"!!document.querySelector('#plot-{plot} .main-svg')")
    assert of('size', '.map(one => one.name)') == ['small', 'smaller']
    assert of('size', '[0].marker.symbol') == ['square', 'circle', 'circle', 'star']
    assert of('size', '[0].y[0]') == pytest.approx(0.9)
    browser.js("(() => { const place = document.getElementById('choose-set'); place.value = '1'; "
               "place.dispatchEvent(new Event('change')); })()")
    assert of('size', '[0].y[0]') == pytest.approx(0.8)
    assert of('scan', '[0].z[0][3]') == pytest.approx(-5.0)
    assert browser.js('document.documentElement.scrollWidth') <= width
    assert browser.complaints == []
    assert all(url.startswith(('file:', 'data:', 'blob:')) for url in browser.requests)


def test_a_run_without_scan_or_models(browser, tmp_path):
    run = CompressionRun.read(written(tmp_path / 'bare', scan=False, models=False))
    browser.open(write_compression_page(run))
    assert browser.js("document.getElementById('plot-scan').textContent").startswith(
        'No layer was tried alone')
    assert 'They were not measured' in (run.path / 'report.html').read_text()
    assert browser.complaints == []
