# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: what stands in the file, before any browser looks at it."""

import base64
from dataclasses import replace
from hashlib import sha256
import json
import re
import shutil

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.errors import MapError, VprError
from vpr_ros.report.blob import packed, script_json
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.page import page_text, write_page
from vpr_ros.report.page_data import ground_axes
from vpr_ros.report.thumbnails import spread

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


def data_of(text: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def unpacked(record: dict) -> np.ndarray:
    kinds = {'u1': 'u1', 'i4': '<i4', 'f4': '<f4', 'f8': '<f8'}
    return np.frombuffer(base64.b64decode(record['b']), kinds[record['t']])


def saved_map(corridor, evaluation, path, count=200):
    """Save a map of as many places as the evaluation has; return it as it was read back."""
    grown = replace(corridor, **{
        name: np.resize(getattr(corridor, name), (count, *getattr(corridor, name).shape[1:]))
        for name in ('descriptors', 'poses', 'stamps_ns', 'camera_of', 'session_of')},
        thumbnails=evaluation.thumbnails[:count])
    grown.save(path)
    return type(corridor).load(path)


def test_a_page_asks_for_nothing(evaluation):
    text = page_text(EvaluationFolder.read(evaluation.folder), evaluation.thumbnails)
    own = re.sub(r'<script nonce="\w+">/\*\*.*?</script>', '', text, flags=re.DOTALL)  # plotly
    assert len(own) < len(text) - 1_000_000
    assert re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"|https?://[^"\s]*|@import', own) == []
    assert "default-src 'none'" in own
    assert text.count('<script') == text.count('</script>') == 3


def test_the_page_says_it_in_one_line(evaluation):
    text = page_text(EvaluationFolder.read(evaluation.folder), ())
    assert re.search(r'<h1>[\d.]+ % of frames got a pose, [\d.]+ % of them right, median', text)
    assert 'vpr calibrate depot.map --query runs/evening' in text
    assert '<td class="why">accepted poses beyond the tolerance</td>' in text


def test_every_frame_is_in_the_page(evaluation):
    read = EvaluationFolder.read(evaluation.folder)
    frames = data_of(page_text(read, ()))['frames']
    assert unpacked(frames['verdict']).shape == (300,)
    np.testing.assert_allclose(unpacked(frames['x']), read.frames.truth[:, 0])
    assert unpacked(frames['places']).reshape(300, -1)[5].tolist() == (
        read.frames.places[5, :5].tolist())


@pytest.mark.parametrize('where', ['settings', 'name', 'camera'])
def test_texts_of_files_are_never_html(evaluation, tmp_path, where):
    folder = shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')
    if where == 'settings':
        settings = json.loads((folder / 'settings.json').read_text())
        settings = {key: EVIL if isinstance(value, str) else value
                    for key, value in settings.items()}
        (folder / 'settings.json').write_text(json.dumps(
            {**settings, 'bags': [EVIL], EVIL: EVIL, 'remarks': [EVIL]}))
    if where == 'camera':
        lines = (folder / 'outcomes.jsonl').read_text()
        (folder / 'outcomes.jsonl').write_text(lines.replace('"camera": "camera"',
                                                             f'"camera": {json.dumps(EVIL)}'))
    text = page_text(EvaluationFolder.read(folder), (), name=EVIL if where == 'name' else '')
    assert '<script>alert' not in text
    assert '<img src=x' not in text
    assert text.count('<script') == 3


def test_the_pictures_of_the_map_are_taken_from_where_it_was(corridor, evaluation, tmp_path):
    folder = shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')
    place_map = saved_map(corridor, evaluation, tmp_path / 'depot.map')
    settings = {**json.loads((folder / 'settings.json').read_text()),
                'map': str(tmp_path / 'gone' / 'depot.map'), 'map_digest': place_map.digest}
    (folder / 'settings.json').write_text(json.dumps(settings))
    page = write_page(folder)
    assert page == folder / 'report.html'
    assert len(unpacked(data_of(page.read_text())['pictures']['place']['rows'])) == 200
    shutil.rmtree(tmp_path / 'depot.map')
    gone = write_page(folder).read_text()
    assert len(unpacked(data_of(gone)['pictures']['place']['rows'])) == 0
    assert 'There are no pictures of places: there is no map at' in gone
    assert not list(folder.glob('.*'))


def test_another_map_is_refused_when_it_is_asked_for(corridor, evaluation, tmp_path):
    folder = shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')
    settings = {**json.loads((folder / 'settings.json').read_text()),
                'map_digest': sha256(b'another').hexdigest()}
    (folder / 'settings.json').write_text(json.dumps(settings))
    saved_map(corridor, evaluation, tmp_path / 'other.map')
    with pytest.raises(MapError, match='is not the map that .* was made with'):
        write_page(folder, tmp_path / 'other.map')
    with pytest.raises(MapError, match='there is no map at'):
        write_page(folder, tmp_path / 'no.map')
    assert not (folder / 'report.html').exists()


def test_a_page_that_cannot_be_written_is_said(evaluation, tmp_path):
    with pytest.raises(VprError, match='cannot write .*choose another place'):
        write_page(evaluation.folder, out=tmp_path / 'no' / 'page.html')


def test_a_long_run_stays_small(long_evaluation):
    read = EvaluationFolder.read(long_evaluation.folder)
    text = page_text(read, long_evaluation.thumbnails)
    assert len(text.encode()) < 25_000_000
    pictures = data_of(text)['pictures']
    of_frames = unpacked(pictures['frame']['rows'])
    assert 500 < len(of_frames) < 20_000
    assert np.diff(of_frames).max() < 200   # spread over the whole run
    failures = [one['worst'] for one in data_of(text)['incidents']]
    assert set(failures) <= set(of_frames.tolist())


def test_one_frame_is_a_page(make, tmp_path):
    made = make(tmp_path / 'one.eval', 1, 1)
    assert '<h1>' in write_page(made.folder).read_text()


@given(st.integers(1, 3000), st.integers(1, 50))
def test_every_row_comes_once_and_the_first_are_spread(count, first):
    rows = list(spread(count))
    assert sorted(rows) == list(range(count))
    head = sorted([*rows[:first], count])
    assert max(np.diff(head)) <= 4 * (count // min(first, count) + 1)


@given(st.text())
def test_no_text_leaves_its_script(text):
    blob = script_json({'a': text})
    assert '<' not in blob and '>' not in blob  # noqa: PT018
    assert json.loads(blob) == {'a': text}


@given(st.lists(st.integers(-2**31, 2**31 - 1)))
def test_numbers_come_back(values):
    assert unpacked(packed(np.array(values, dtype=np.int64), 'i4')).tolist() == values


def test_the_ground_is_where_the_run_spreads():
    poses = np.zeros((50, 7))
    poses[:, 0], poses[:, 1] = np.arange(50), np.arange(50) % 7
    assert ground_axes(poses) == (0, 1)
    assert ground_axes(poses[:, [0, 2, 1, 3, 4, 5, 6]]) == (0, 2)
    assert ground_axes(np.full((3, 7), np.nan)) == (0, 1)
