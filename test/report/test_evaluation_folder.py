# SPDX-License-Identifier: Apache-2.0
"""An evaluation is read whole, without what is optional, or refused by the name of a file."""

import json
import re
import shutil

import numpy as np
import pytest

from vpr_ros.errors import VprError
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.verdicts import Verdict, verdicts


@pytest.fixture
def folder(evaluation, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(evaluation.folder, tmp_path / 'copy.eval')


def edit(path, change):
    """Rewrite the second line of outcomes.jsonl."""
    lines = path.read_text().splitlines()
    record = json.loads(lines[1])
    change(record)
    path.write_text('\n'.join([lines[0], json.dumps(record), *lines[2:]]))


def test_all_of_it_is_read(evaluation):
    read = EvaluationFolder.read(evaluation.folder)
    assert read.name == 'run2.eval'
    assert len(read.frames) == 300
    assert read.tolerance == (2.0, 45.0)
    assert read.places is not None
    assert read.places.shape == (200, 7)
    assert read.similarity is not None
    assert read.similarity.shape == (300, 200)
    assert read.pictures is not None
    assert read.pictures.of(7).startswith(b'\xff\xd8')
    assert set(read.frames.stages_ms) == {'decode', 'describe', 'search', 'judge'}


def test_the_verdicts_are_counted_as_the_report_counts(evaluation):
    read = EvaluationFolder.read(evaluation.folder)
    count = np.bincount(verdicts(read.frames), minlength=len(Verdict))
    assert count[Verdict.WRONG]
    assert count[Verdict.OFF_MAP_FIX]
    assert count[Verdict.MISSED]
    assert count[:3].sum() == read.report['accepted']
    assert count[Verdict.WRONG] + count[Verdict.OFF_MAP_FIX] == read.report['wrong_fixes']
    assert count.sum() == read.report['frames']


def test_what_is_optional_may_be_absent(folder):
    for name in ('settings.json', 'curves.json', 'places.npz', 'similarity.npz', 'pictures.bin'):
        (folder / name).unlink()
    read = EvaluationFolder.read(folder)
    assert (read.settings, read.curves, read.places) == ({}, None, None)
    assert (read.similarity, read.pictures) == (None, None)


def test_another_folder_is_no_evaluation(tmp_path):
    with pytest.raises(VprError, match='is no evaluation: .* vpr evaluate'):
        EvaluationFolder.read(tmp_path)


@pytest.mark.parametrize('name', ['report.json', 'settings.json', 'curves.json', 'places.npz',
                                  'similarity.npz', 'pictures.npz'])
def test_a_cut_file_is_named(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:len(whole) // 2])
    with pytest.raises(VprError, match=f'{re.escape(name)} is damaged .*run vpr evaluate again'):
        EvaluationFolder.read(folder)


def test_a_cut_line_is_named(folder):
    path = folder / 'outcomes.jsonl'
    path.write_text(path.read_text()[:-20])
    with pytest.raises(VprError, match=r'outcomes\.jsonl is damaged in line 300'):
        EvaluationFolder.read(folder)


@pytest.mark.parametrize(('change', 'said'), [
    (lambda record: record.pop('has_match'), "lacks 'has_match' of a frame"),
    (lambda record: record.update(reason='dreamt'), "'dreamt' is not a valid Reason"),
    (lambda record: record.update(pose=[1.0, 2.0]), 'is damaged'),
    (lambda record: record.update(matches=[[200, 0.5]]), 'names a place beyond the 200'),
])
def test_a_frame_that_is_none_is_refused(folder, change, said):
    edit(folder / 'outcomes.jsonl', change)
    with pytest.raises(VprError, match=said):
        EvaluationFolder.read(folder)


def test_a_report_must_be_there(folder):
    (folder / 'report.json').unlink()
    with pytest.raises(VprError, match=r'report\.json is missing'):
        EvaluationFolder.read(folder)


def test_pictures_of_another_run_are_refused(folder):
    np.savez(folder / 'pictures.npz', ends=np.arange(299))
    with pytest.raises(VprError, match='does not fit the 300 frames'):
        EvaluationFolder.read(folder)


def test_no_frames_are_no_evaluation(folder):
    (folder / 'outcomes.jsonl').write_text('')
    with pytest.raises(VprError, match='holds no frame'):
        EvaluationFolder.read(folder)


def test_a_frame_without_a_guess_is_read(folder):
    edit(folder / 'outcomes.jsonl', lambda record: record.update(
        pose=None, probability=None, position_error_m=None, heading_error_deg=None, matches=[],
        right=None, accepted=False, nearest_place=None, has_match=False))
    frames = EvaluationFolder.read(folder).frames
    assert np.isnan(frames.pose[1]).all()
    assert np.isnan(frames.probability[1])
    assert (frames.places[1] == -1).all()
    assert frames.nearest_place[1] == -1
    assert verdicts(frames)[1] == Verdict.SILENT
