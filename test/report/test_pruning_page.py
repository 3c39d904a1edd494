# SPDX-License-Identifier: Apache-2.0
"""The page of pruning runs: words and tables, and what a headless Chromium shows of it."""

import csv
import json
import re

import pytest

from vpr_ros.errors import VprError
from vpr_ros.report.pruning_data import pruning_data
from vpr_ros.report.pruning_page import write_pruning_page
from vpr_ros.report.pruning_run import PruningRun, series_of
from vpr_ros.report.pruning_words import headline

SETS = (('yard', True, 200), ('hall <b>', False, 100))
DIM, PLACES = 512, 10_000
LAYERS = {'backbone.conv1': (3, 64), 'backbone.bn1': (64, 64), 'backbone.layer1.0.conv1': (64, 64),
          'backbone.layer1.0.bn1': (64, 64), 'backbone.layer2.0.conv1': (64, 128),
          'aggregator.channel_pool': (128, 32)}


def recalls(at_1, crossed=None):
    return [{'pair': name, 'chooses': chooses, 'queries': queries, 'at_1': at_1 - 0.1 * row,
             'at_5': min(at_1 + 0.05, 1.0), 'on_parents_map_at_1': crossed,
             'protocol': f'{name} by 5 m'} for row, (name, chooses, queries) in enumerate(SETS)]


def speed(ratio, matching=1.0, busy=1.0):
    return {'engine': 'openvino fp32', 'describe_ms': 10.0 * ratio * busy,
            'parent_describe_ms': 10.0 * busy, 'match_ms': 2.0 * matching * busy,
            'parent_match_ms': 2.0 * busy, 'places': PLACES}


def written(folder, gamma=0.0, seed=0, criterion='l2', drop=0.01, steps=4, controls=True,
            max_drop=None, timed=True, parent='aa'):
    """Write what a run would, whose recall falls by `drop` a step."""
    points = []
    for step in range(steps + 1):
        gone = 0.15 * step
        width, dim = 1.0 - gone, int(DIM * (1.0 - gamma * gone))
        at_1 = 0.9 - drop * step ** 1.5 + 0.004 * seed * bool(step)
        points.append({
            'step': step, 'sparsity': gone, 'gamma': gamma, 'dim': dim,
            'parameters': int(11e6 * width ** 2), 'model_bytes': int(44e6 * width ** 2),
            'map_bytes': PLACES * dim * 4, 'loss': 0.1 * step if step else None,
            'recalls': recalls(at_1, at_1 - 0.01 if gamma == 0 else None),
            'speed': speed(width ** 1.8, dim / DIM, 1.0 + 0.3 * (step % 2)) if timed else None,
            'widths': {name: [i if i == 3 else int(i * width), int(o * width)]
                       for name, (i, o) in LAYERS.items()},
            'folder': f'step_{step:02d}' if step else ''})
    settings = {'prune': {'gamma': gamma, 'criterion': criterion, 'steps': steps},
                'learn': {'seed': seed, 'epochs': 2}, 'parent': parent,
                'judged_on': [name for name, *_ in SETS], 'learns_from': 'views of 9 images',
                'goal': {'map_places': PLACES, 'map_precision': 'float32',
                         'max_drop_points': max_drop}}
    folder.mkdir(parents=True)
    (folder / 'points.json').write_text(json.dumps({'settings': settings, 'points': points}))
    if controls:
        made = [('int8 map', 'map', DIM, 8.0, 0.895, 0.7),
                ('PCA to 128', 'pca', 128, 32, 0.85, 0.3),
                ('PCA to 128, int8 map', 'pca + map', 128, 8.0, 0.845, 0.3),
                ('first 128 numbers', 'truncation', 128, 32, 0.7, 0.3),
                ('map in 64 bytes a place (PQ)', 'pq', DIM, 1.0, 0.8, None)]
        (folder / 'controls.json').write_text(json.dumps({
            'of': {'fitted_on': '900 views'}, 'controls': [{
                'label': label, 'kind': kind, 'dim': dim, 'bits': bits, 'parameters': 11_000_000,
                'model_bytes': 44_000_000, 'map_bytes': int(PLACES * dim * bits / 8),
                'recalls': recalls(at_1), 'speed': match and speed(1.0, match)}
                for label, kind, dim, bits, at_1, match in made]}))
    return folder


@pytest.fixture
def run(tmp_path):
    return PruningRun.read(written(tmp_path / 'small'), 3, 'the smallest that recalls enough')


@pytest.fixture
def many(tmp_path):
    """Return gammas 0 (three seeds) and 1, and a random one."""
    folders = [written(tmp_path / f'g0_{seed}', seed=seed) for seed in range(3)]
    folders += [written(tmp_path / 'g1', gamma=1.0, drop=0.012),
                written(tmp_path / 'random', criterion='random', drop=0.03)]
    return [PruningRun.read(folder) for folder in folders]


def test_what_came_out_is_said_in_a_line(run):
    # 0.55 ** 1.8 x 10 + 2 of 12 ms; 44 x 0.55 ** 2 + 20.48 of 64.48 MB
    assert headline(run) == ('Step 3 of 4 needs 45% of the time and 52% of the memory of the '
                             'dense network; recall@1 0.848 instead of 0.900')


def test_the_page_tells_what_to_take_and_what_else_would_do(run):
    text = write_pruning_page([run]).read_text()
    assert 'Take step_03: the smallest that recalls enough.' in text
    assert 'one of them is 0.500 points of recall' in text
    assert 'hall &lt;b&gt; 0.800 → 0.748' in text
    assert 'may query maps that this one has built: recall@1 yard 0.838' in text
    # of all controls one alone fits into 33.8 MB: none does, since the network takes 44
    assert 'No map of the dense network, however it is kept here, is as small' in text
    assert 'hall <b>' not in text
    assert not (run.path / 'report.csv').exists()   # points.csv is there


def test_a_control_that_recalls_more_in_as_much_memory_is_named(tmp_path):
    folder = written(tmp_path / 'lossy', drop=0.02)
    text = write_pruning_page([PruningRun.read(folder, 1)]).read_text()
    assert 'In as much memory, the dense network recalls 0.895 with: int8 map' in text
    assert 'If memory is all that you are short of, take that.' in text


def test_keep_the_dense_one_when_nothing_recalls_enough(tmp_path):
    run = PruningRun.read(written(tmp_path / 'bad'), 0, 'recall@1 fell')
    assert headline(run) == 'No step recalls enough: keep the dense network'
    assert 'Take the dense network: recall@1 fell.' in write_pruning_page([run]).read_text()


def test_time_is_told_as_if_the_computer_had_been_as_busy_all_along(run):
    [series] = pruning_data(series_of([run]))['series']
    ms = [step['describe_ms'] for step in series['steps']]
    # odd steps were measured while it was slower by 0.3; half of all times are 10, of five
    assert ms == pytest.approx([10.0 * (1.0 - 0.15 * step) ** 1.8 for step in range(5)])


def test_seeds_are_taken_together_and_others_named_by_what_differs(many):
    series = series_of(many)
    assert [(one.name, len(one.runs)) for one in series] == [
        ('gamma 0, criterion l2', 3), ('gamma 1, criterion l2', 1),
        ('gamma 0, criterion random', 1)]
    step = pruning_data(series)['series'][0]['steps'][1]
    assert step['seeds'] == 3
    assert (step['low'][0], step['recall'][0], step['high'][0]) == pytest.approx(
        (0.89, 0.894, 0.898))


def test_several_runs_have_a_table_beside_the_page(many, tmp_path):
    page = write_pruning_page(many, tmp_path / 'all.html')
    with page.with_suffix('.csv').open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5 * (5 + 5) * 2    # runs, steps and controls, sets
    assert {row['seed'] for row in rows} == {'0', '1', '2'}
    assert {row['what'] for row in rows} >= {'dense', 'pruned', 'int8 map'}
    assert 'bands reach from the least to the best' in page.read_text()


def test_layers_are_those_that_are_cut(run):
    layers = pruning_data(series_of([run]))['layers']
    assert layers['names'] == ['conv1', 'layer1.0.conv1', 'layer2.0.conv1',
                               'aggregator.channel_pool']
    assert layers['steps'][3]['outputs'] == [35, 35, 70, 17]


def test_runs_without_times_or_controls(tmp_path):
    run = PruningRun.read(written(tmp_path / 'bare', controls=False, timed=False))
    text = write_pruning_page([run]).read_text()
    assert 'without --no-controls' in re.sub(r'\s+', ' ', text)
    assert 'of the time' not in re.search(r'<h1>(.*?)</h1>', text)[1]


@pytest.mark.parametrize(('name', 'text', 'said'), [
    ('points.json', None, 'cannot be read'), ('points.json', '[]', 'has no table in points.json'),
    ('points.json', '{"settings": {}, "points": []}', 'misses'),
    ('controls.json', '{"controls": [{"recalls": []}]}', 'do not fit together'),
    ('controls.json', '{', 'cannot be read')])
def test_a_damaged_run_is_refused(tmp_path, name, text, said):
    folder = written(tmp_path / 'run')
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises(VprError, match=said):
        PruningRun.read(folder)


def test_runs_judged_otherwise_are_not_compared(many, tmp_path):
    folder = written(tmp_path / 'other')
    text = (folder / 'points.json').read_text().replace('"yard"', '"attic"')
    (folder / 'points.json').write_text(text)
    (folder / 'controls.json').unlink()
    with pytest.raises(VprError, match='judged by different sets: g0_0 by yard.*other by attic'):
        write_pruning_page([many[0], PruningRun.read(folder)], tmp_path / 'x.html')


def drawn(browser, name):
    return browser.js(f"!!document.querySelector('#plot-{name} .main-svg')")


@pytest.mark.parametrize(('width', 'dark'), [(1400, False), (700, True)])
def test_one_run_is_drawn(browser, run, width, dark):
    browser.open(write_pruning_page([run]), width, dark=dark)
    assert all(drawn(browser, name) for name in ('memory', 'latency', 'parameters', 'widths'))
    assert not drawn(browser, 'gamma')
    assert browser.js("document.getElementById('plot-gamma').textContent").startswith(
        'There is one gamma here')
    names = browser.js("document.getElementById('plot-memory').data.map(one => one.name)")
    assert names[-1] == 'small'
    assert {'fewer bits', 'PCA', 'first numbers', 'product quantization'} < set(names)
    assert 'product quantization' not in browser.js(
        "document.getElementById('plot-latency').data.map(one => one.name)")   # not timed
    assert browser.js("document.getElementById('plot-memory').data.at(-1).marker.symbol") == [
        'square', 'circle', 'circle', 'star', 'circle']
    assert browser.js('document.documentElement.scrollWidth') <= width
    assert browser.complaints == []
    assert all(url.startswith(('file:', 'data:', 'blob:')) for url in browser.requests)


def test_what_is_shown_can_be_chosen(browser, run):
    browser.open(write_pruning_page([run]))

    def of(plot, key):
        return browser.js(f"document.getElementById('plot-{plot}').data.at(-1).{key}")

    def choose(name, value):
        browser.js(f"(() => {{ const place = document.getElementById('{name}'); place.value = "
                   f"{value!r}; place.dispatchEvent(new Event('change')); }})()")
    assert of('memory', 'y[0]') == pytest.approx(0.9)
    assert browser.js("document.getElementById('choose-set').textContent") == (
        'yard (validation)hall <b> (test)')
    choose('choose-set', '1')
    assert of('memory', 'y[0]') == pytest.approx(0.8)
    assert of('memory', 'x[0]') == pytest.approx(64.48)
    choose('choose-places', '100000')
    assert of('memory', 'x[0]') == pytest.approx(44 + 204.8)
    assert of('latency', 'x[0]') == pytest.approx(10 + 20)
    choose('choose-step', '4')
    assert of('widths', 'y') == [25, 25, 51, 12]
    assert 'hall &lt;b&gt;' in of('memory', 'text[3]')
    assert 'step 3, to take' in of('memory', 'text[3]')
    browser.js("document.getElementById('choose-controls').click()")
    assert browser.js("document.getElementById('plot-memory').data.length") == 1


def test_several_runs_are_drawn_with_bands(browser, many, tmp_path):
    browser.open(write_pruning_page(many, tmp_path / 'all.html'))
    assert drawn(browser, 'gamma')
    fills = browser.js("document.getElementById('plot-memory').data.filter(one => one.fill)"
                       '.map(one => one.name)')
    assert fills == ['gamma 0, criterion l2']
    assert browser.complaints == []
