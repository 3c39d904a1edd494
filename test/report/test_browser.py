# SPDX-License-Identifier: Apache-2.0
"""The pages in a headless Chromium: what is there, what a pointer and keys do, no complaint."""

import json
import shutil

import pytest

from vpr_ros.report.comparison import write_comparison
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.page import page_text, write_page, write_text

PLOTS = ('trajectory', 'time', 'coverage', 'reliability', 'recall', 'error', 'similarity')
PIXEL = """(() => {{
  const gd = document.getElementById('plot-trajectory'), box = gd.getBoundingClientRect();
  const {{xaxis, yaxis}} = gd._fullLayout;
  return [box.left + xaxis._offset + xaxis.l2p(F.x[{0}]),
          box.top + yaxis._offset + yaxis.l2p(F.y[{0}])];
}})()"""


def is_at_home(browser) -> bool:
    """Say whether nothing complained and nothing but the page itself was asked for."""
    outside = [url for url in browser.requests if not url.startswith(('data:', 'blob:'))]
    return browser.complaints == [] and all(url.startswith('file:') for url in outside) and (
        len(outside) == 1)


@pytest.fixture(scope='module')
def page(evaluation, tmp_path_factory):
    text = page_text(EvaluationFolder.read(evaluation.folder), evaluation.thumbnails)
    return write_text(tmp_path_factory.mktemp('page') / 'report.html', text)


def shown(browser) -> str:
    return browser.js("document.querySelector('#panel h2').firstChild.textContent")


def pictures(browser) -> int:
    """Return how many pictures of the panel are really drawn."""
    return browser.js("Promise.all([...document.querySelectorAll('#panel img')].map(image => "
                      "image.decode().then(() => image.naturalWidth > 0)))"
                      '.then(all => all.filter(Boolean).length)')


@pytest.mark.parametrize(('width', 'dark'), [(1400, False), (1000, True)])
def test_everything_is_drawn(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    for name in PLOTS:
        assert browser.js(f"!!document.querySelector('#plot-{name} .main-svg')"), name
    assert browser.js("document.querySelectorAll('.card').length === data.incidents.length")
    assert browser.js('new Set(data.incidents.map(one => one.kind)).size') == 3
    assert browser.js('document.documentElement.scrollWidth') <= width
    paper = browser.js('getComputedStyle(document.body).backgroundColor')
    assert (paper == 'rgb(16, 21, 27)') is dark
    assert is_at_home(browser), (browser.complaints, browser.requests)


def test_a_pointer_on_a_frame_shows_its_pictures(browser, page):
    browser.open(page)
    browser.js("document.getElementById('plot-trajectory').scrollIntoView({behavior: 'instant', "
               "block: 'center'})")
    for frame in (120, 20):
        x, y = browser.js(PIXEL.format(frame))
        browser.point(x - 40, y - 40)
        browser.point(x, y)
        browser.until(f'Math.abs(Panel.frame - {frame}) <= 1')
    assert pictures(browser) == 3
    assert not browser.js('Panel.pinned')
    x, y = browser.js(PIXEL.format(50))
    browser.point(x, y)   # a hand is there before it clicks
    browser.until('Math.abs(Panel.frame - 50) <= 1')
    browser.point(x, y, click=True)
    browser.until('Panel.pinned')
    assert abs(browser.js('Panel.frame') - 50) <= 1
    x, y = browser.js(PIXEL.format(120))
    browser.point(x, y)
    assert abs(browser.js('Panel.frame') - 50) <= 1
    assert is_at_home(browser)


def test_keys_walk_along_the_run(browser, page):
    browser.open(page, fragment='#frame=40')
    assert shown(browser) == 'Frame 40'
    for key, frame in (('ArrowRight', 41), ('ArrowLeft', 40), ('ArrowLeft', 39), ('n', None)):
        browser.press(key)
        if frame is not None:
            assert shown(browser) == f'Frame {frame}'
    kind = browser.js('data.verdicts[F.verdict[Panel.frame]].name')
    assert kind == 'wrong pose'
    assert browser.js("document.querySelector('#panel .badge').textContent") == kind
    browser.press('Escape')
    assert not browser.js('Panel.pinned')
    assert is_at_home(browser)


def test_a_card_pins_its_frame(browser, page):
    browser.open(page)
    frame = browser.js("Number(document.querySelector('.card').dataset.frame)")
    browser.js("Panel.pin(0), document.querySelector('.card').click()")
    assert browser.js('Panel.frame') == frame
    assert browser.js("document.querySelector('.card').classList.contains('here')")


def test_a_long_run_is_thinned_but_counted(browser, long_evaluation, tmp_path):
    text = page_text(EvaluationFolder.read(long_evaluation.folder), long_evaluation.thumbnails)
    browser.open(write_text(tmp_path / 'report.html', text))
    assert all(0 < browser.js(f"Plots.drawn['plot-{name}']") <= 5000
               for name in ('trajectory', 'time', 'similarity'))
    assert browser.js('data.verdicts.reduce((sum, one) => sum + one.count, 0)') == 20_000
    note = browser.js("document.querySelector('.drawn').textContent")
    assert note.startswith('Drawn: 3 500 of 20 000 frames')
    browser.js("Plotly.relayout('plot-time', {'xaxis.range': [100, 300]}) && 1")
    browser.until("views['plot-time'] && Plots.drawn['plot-time'] < 2500")
    browser.press('ArrowRight')
    assert browser.js('Panel.pinned')
    assert is_at_home(browser)


def test_a_topic_named_script_does_not_run(browser, evaluation, tmp_path):
    evil = '</script><script>document.title = "caught"</script><img src=x onerror="evil = 1">'
    folder = shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')
    lines = (folder / 'outcomes.jsonl').read_text().replace('"camera": "camera"',
                                                            f'"camera": {json.dumps(evil)}', 9)
    (folder / 'outcomes.jsonl').write_text(lines)
    settings = json.loads((folder / 'settings.json').read_text())
    (folder / 'settings.json').write_text(json.dumps({**settings, 'image': evil, 'bags': [evil],
                                                      evil: evil, 'map': evil}))
    browser.open(write_page(folder, name=evil), fragment='#frame=3')
    assert browser.js('document.title').startswith('</script><script>document.title')
    assert browser.js('typeof evil') == 'undefined'
    assert browser.js("document.querySelectorAll('script').length") == 3
    assert browser.js("[...document.images].every(image => image.src.startsWith('data:'))")
    assert is_at_home(browser), browser.complaints


@pytest.mark.parametrize('count', [1, 2])
def test_hardly_any_frames_are_a_page(browser, make, tmp_path, count):
    browser.open(write_page(make(tmp_path / 'few.eval', count, 3, pictures=False).folder))
    assert browser.js("document.querySelector('#panel .none').textContent").startswith('no pic')
    assert is_at_home(browser), browser.complaints


def test_what_was_not_kept_is_not_drawn(browser, evaluation, tmp_path):
    folder = shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')
    for name in ('curves.json', 'places.npz', 'similarity.npz', 'pictures.npz', 'settings.json'):
        (folder / name).unlink()
    browser.open(write_page(folder))
    assert 'were not kept' in browser.js(
        "document.getElementById('plot-similarity').textContent")
    assert is_at_home(browser), browser.complaints


def test_a_comparison_is_drawn(browser, make, tmp_path):
    folders = [make(tmp_path / f'run{seed}.eval', 300 - 50 * seed, pictures=False, seed=seed,
                    wrong=bool(seed)).folder for seed in range(3)]
    browser.open(write_comparison(folders, tmp_path / 'both.html'), 1000)
    for name in ('coverage', 'recall', 'error', 'latency', 'time'):
        assert browser.js(f"!!document.querySelector('#plot-{name} .main-svg')"), name
    assert browser.js('document.documentElement.scrollWidth') <= 1000
    assert is_at_home(browser), browser.complaints


def test_paper_is_white_and_as_wide_as_it_is(browser, page):
    browser.open(page, dark=True)
    width = "document.querySelector('#plot-time .main-svg').clientWidth"
    before = browser.js(width)
    browser.js("dispatchEvent(new Event('beforeprint'))")
    browser.until(f'{width} <= 720')
    assert browser.js("color('--ink')") == '#000'
    browser.js("dispatchEvent(new Event('afterprint'))")
    browser.until(f'{width} === {before}')
    assert browser.js("color('--ink')") != '#000'
    assert is_at_home(browser), browser.complaints
