# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation holds what it promises, and all of its files tell one story."""

import csv
import json

import cv2
import numpy as np
import pytest

from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.run_report import Report
from vpr_ros.core.score_curves import Curves
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.tools.evaluate_bags import Looking
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.similarity_blocks import LARGEST, similarity_blocks
from vpr_ros.tools.write_evaluation import write_evaluation

TOLERANCE = Tolerance(1.2, 45.0)


@pytest.fixture
def written(drive, halves, road, describer, tmp_path):
    """An evaluation of a run that leaves the map, and its folder."""
    bag, out = drive('query', halves(50.3, 80.3), pose_delay_s=1.0), tmp_path / 'run2.eval'
    evaluation = write_evaluation([bag], road, out, describer, LocalizerConfig(),
                                  QuerySource(odom='/odom'), TOLERANCE, False, False,
                                  looking=Looking(thumbnails=True), model_folder=None)
    return evaluation, out


def lines(out):
    return [json.loads(line) for line in (out / 'outcomes.jsonl').read_text().splitlines()]


def test_every_frame_says_whether_it_was_right(written):
    evaluation, out = written
    records = lines(out)
    assert len(records) == len(evaluation.frames) == 59
    report = Report.from_json((out / 'report.json').read_text())
    assert sum(record['accepted'] for record in records) == report.accepted
    assert sum(record['accepted'] and not record['right'] for record in records
               ) == report.wrong_fixes
    assert sum(record['has_match'] for record in records) == report.frames_with_match < 59
    for record in records:
        assert (record['right'] is None) == (record['pose'] is None)
        assert (record['nearest_place'] is None) == (not record['has_match'])
        if record['pose'] is not None:
            assert record['right'] == (record['position_error_m'] <= TOLERANCE.m)
        assert record['latency_ms'] >= record['decode_ms'] + record['describe_ms']


def test_the_nearest_place_is_a_row_of_places(written):
    _, out = written
    with np.load(out / 'places.npz') as places:
        poses = places['poses']
        assert places['stamps_ns'].shape == (len(poses),)
    for record in lines(out):
        if record['nearest_place'] is not None:
            away_m = np.linalg.norm(poses[:, :3] - record['truth'][:3], axis=1)
            assert record['nearest_place'] == away_m.argmin()


def test_the_table_holds_the_same_frames(written):
    _, out = written
    with (out / 'outcomes.csv').open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    for row, record in zip(rows, lines(out), strict=True):
        assert int(row['stamp_ns']) == record['stamp_ns']
        assert row['right'] == ('' if record['right'] is None else str(record['right']))
        assert float(row['truth_x']) == record['truth'][0]
        assert int(row['match_1_place']) == record['matches'][0][0]
        assert row['pose_qw'] == ('' if record['pose'] is None else str(record['pose'][6]))
    assert len({len(row) for row in rows}) == 1


def test_there_is_a_picture_of_each_frame(written):
    _, out = written
    with np.load(out / 'pictures.npz') as arrays:
        ends = arrays['ends']
    packed = (out / 'pictures.bin').read_bytes()
    assert ends[-1] == len(packed)
    for start, end in zip([0, *ends], ends, strict=False):
        picture = cv2.imdecode(np.frombuffer(packed[start:end], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] <= 160


def test_the_page_can_read_what_was_written(written):
    _, out = written
    folder = EvaluationFolder.read(out)
    assert len(folder.frames) == 59
    assert folder.similarity is not None
    assert folder.similarity.shape[0] == 59
    assert folder.similarity.values.shape == folder.similarity.truth.shape
    assert len(folder.pictures) == 59
    Curves.from_json((out / 'curves.json').read_text())
    assert folder.settings['remarks']


def test_similarity_is_that_of_the_matches(written):
    evaluation, out = written
    similarity = EvaluationFolder.read(out).similarity
    for row, frame in enumerate(evaluation.frames):
        assert similarity.values[row].max() == pytest.approx(frame.outcome.matches[0].similarity,
                                                             abs=1e-3)
        assert similarity.truth[row].any() == evaluation.scores.has_match[row]


def test_without_thumbnails_there_are_none(drive, halves, road, describer, tmp_path):
    out = tmp_path / 'plain.eval'
    write_evaluation([drive('query', halves(10, 20))], road, out, describer, LocalizerConfig(),
                     QuerySource(), TOLERANCE, False, False)
    assert not (out / 'pictures.bin').exists()
    assert EvaluationFolder.read(out).pictures is None


def test_blocks_keep_every_peak_and_every_positive():
    rng = np.random.default_rng(0)
    queries, places = 1203, 711
    descriptors = rng.normal(size=(queries, 8)).astype(np.float32)
    map_descriptors = rng.normal(size=(places, 8)).astype(np.float32)
    poses = np.zeros((places, 7))
    poses[:, 0], poses[:, 6] = np.arange(places), 1.0
    truth = np.zeros((queries, 7))
    truth[:, 0], truth[:, 6] = np.linspace(-50, places, queries), 1.0
    blocks = similarity_blocks(descriptors, map_descriptors, poses, truth, TOLERANCE)
    full = descriptors @ map_descriptors.T
    assert blocks.shape == full.shape
    assert max(blocks.values.shape) <= LARGEST
    for q, p in rng.integers(0, LARGEST, (200, 2)):
        rows = slice(blocks.query_rows[q], [*blocks.query_rows, queries][q + 1])
        columns = slice(blocks.place_rows[p], [*blocks.place_rows, places][p + 1])
        assert blocks.values[q, p] == pytest.approx(full[rows, columns].max(), rel=1e-3, abs=1e-3)
        near = TOLERANCE.holds(poses[None, columns], truth[rows][:, None])
        assert blocks.truth[q, p] == near.any()


def test_a_full_disk_leaves_what_was_there(written, drive, halves, road, describer, monkeypatch):
    _, out = written
    before = (out / 'report.json').read_bytes()

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez', full)
    with pytest.raises(Exception, match='No space left on device'):
        write_evaluation([drive('q2', halves(10, 20))], road, out, describer, LocalizerConfig(),
                         QuerySource(), TOLERANCE, False, True)
    assert (out / 'report.json').read_bytes() == before
    assert len(PlaceMap.load(road)) > 0
