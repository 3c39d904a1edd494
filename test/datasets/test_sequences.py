# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.datasets import halves, sequences
from vpr_ros.errors import DatasetError

SHARED = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared'))
ROOT = SHARED / 'data'
needs_data = pytest.mark.skipif(
    not ROOT.is_dir(), reason=f'the image sets are not at {ROOT}; set VPR_SHARED')


@pytest.fixture(scope='module')
def pairs():
    return {name: sequences.open_pair(name, ROOT) for name in sequences.PAIRS}


@needs_data
@pytest.mark.parametrize(('name', 'mapped', 'asked', 'shape', 'listed'), [
    ('stromovka_summer_winter', 101, 101, (384, 1024, 3), 301),
    ('corridor', 111, 111, (120, 160, 3), 549),
    ('indoor_two_laps', 40, 44, (384, 512, 3), 208),
    ('campus_loop', 36, 36, (240, 426, 3), 71),
    ('webcam_seasons', 300, 300, (65, 97, 3), 300),
    ('nordland_64x32', 2466, 2466, (32, 64, 3), 7320),
])
def test_counts_are_those_of_the_set(pairs, name, mapped, asked, shape, listed):
    pair = pairs[name]
    assert (len(pair.mapping.images), len(pair.query.images)) == (mapped, asked)
    assert pair.query.images[0].shape == shape
    positives = pair.positives or pair.metric_positives()
    assert sum(map(len, positives)) == listed
    assert all(positives), 'every query of these pairs has a positive'
    assert pair.protocol


@needs_data
@pytest.mark.parametrize(('name', 'lost'), [
    ('stromovka_summer_winter', 0), ('corridor', 0), ('webcam_seasons', 0),
    ('nordland_64x32', 0),
    ('indoor_two_laps', 3),  # where lap two ends at both ends of lap one
])
def test_metres_give_back_the_listed_positives(pairs, name, lost):
    pair = pairs[name]
    listed = {(q, j) for q, row in enumerate(pair.positives) for j in row}
    near = {(q, j) for q, row in enumerate(pair.metric_positives()) for j in row}
    assert near <= listed
    assert len(listed - near) == lost


@needs_data
def test_corridor_positives_are_two_frames_either_way(pairs):
    assert pairs['corridor'].positives[50] == (48, 49, 50, 51, 52)
    assert pairs['corridor'].positives[0] == (0, 1, 2)


@needs_data
def test_laps_repeat_after_forty_images(pairs):
    assert pairs['indoor_two_laps'].positives[10] == (8, 9, 10, 11, 12)


@needs_data
def test_campus_has_its_measured_poses(pairs):
    whole = sequences.campus_loop_whole(ROOT)
    step = np.linalg.norm(np.diff(whole.map_from_base[:, :2], axis=0), axis=1)
    assert len(step) == 71
    assert step.sum() == pytest.approx(217.0, abs=0.5)
    gap = np.linalg.norm(np.diff(pairs['campus_loop'].mapping.map_from_base[:, :2], axis=0),
                         axis=1)
    assert gap.mean() == pytest.approx(6.1, abs=0.1)


@needs_data
def test_nordland_drops_flat_frames_of_either_season(pairs):
    for run in (pairs['nordland_64x32'].mapping, pairs['nordland_64x32'].query):
        assert min(image.std() for image in run.images) >= 6.0
    frames = pairs['nordland_64x32'].mapping.map_from_base[:, 0]
    assert np.diff(frames).max() > 1.0, 'the gaps stay in the truth'


@needs_data
def test_halves_share_no_place():
    train = {image.tobytes() for image in halves.training_halves(ROOT)}
    assert len(train) == 190
    held = halves.held_out_pairs(ROOT)
    assert [(len(p.mapping.images), len(p.query.images)) for p in held] == [
        (53, 53), (17, 17), (15, 15)]
    for pair in held:
        for run in (pair.mapping, pair.query):
            assert not any(image.tobytes() in train for image in run.images)
        assert all(pair.metric_positives())
        if pair.positives is not None:
            assert pair.positives == pair.metric_positives()


def test_a_missing_set_says_what_belongs_there(tmp_path):
    for name in sequences.PAIRS:
        with pytest.raises(DatasetError, match=rf'{name} is not there; expected {name}/ with'):
            sequences.open_pair(name, tmp_path)


def test_an_unknown_set_lists_those_there_are(tmp_path):
    with pytest.raises(DatasetError, match="no set is called 'kitti'; there are stromovka"):
        sequences.open_pair('kitti', tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / 'corridor' / 'ref').mkdir(parents=True)
    with pytest.raises(DatasetError, match='ref holds no'):
        sequences.corridor(tmp_path)


def test_a_picture_that_is_none_is_refused(tmp_path):
    for season in ('summer', 'winter'):
        (tmp_path / 'stromovka_summer_winter' / season).mkdir(parents=True)
        (tmp_path / 'stromovka_summer_winter' / season / '000000.jpg').write_bytes(b'cut')
    pair = sequences.stromovka_summer_winter(tmp_path)
    with pytest.raises(DatasetError, match=r'000000\.jpg is not a picture'):
        pair.mapping.images[0]


def test_poses_without_pictures_are_refused(tmp_path):
    (tmp_path / 'campus_loop').mkdir()
    (tmp_path / 'campus_loop' / 'poses.csv').write_text('image_0.png,0.0,0.0,0.0\n')
    with pytest.raises(DatasetError, match=r'lacks image_0\.png'):
        sequences.campus_loop(tmp_path)
    (tmp_path / 'campus_loop' / 'poses.csv').write_text('image_0.png,zero,0.0,0.0\n')
    with pytest.raises(DatasetError, match='cannot be read as name,x,y,yaw'):
        sequences.campus_loop(tmp_path)


def test_damaged_truth_is_refused(tmp_path):
    folder = tmp_path / 'corridor'
    for part in ('ref', 'query'):
        (folder / part).mkdir(parents=True)
        (folder / part / '0000000.jpg').write_bytes(b'')
    (folder / 'ground_truth.json').write_text('{"gt": [[0, [7]]]}')
    with pytest.raises(DatasetError, match='frames beyond the 1 of ref/'):
        sequences.corridor(tmp_path)
    (folder / 'ground_truth.json').write_text('[]')
    with pytest.raises(DatasetError, match='does not hold lists of positives'):
        sequences.corridor(tmp_path)


@given(st.integers(6, 40), st.data())
def test_windows_of_up_to_five_frames_are_laid_out_exactly(places, data):
    wide = data.draw(st.integers(3, 5))
    first = data.draw(st.integers(0, places - wide))
    window = tuple(range(first, first + wide))
    pose = sequences.lay_out([window], places)[0]
    near = np.hypot(np.arange(places) - pose[0], pose[1]) <= sequences.TWO_FRAMES_M
    assert tuple(np.flatnonzero(near)) == window


def test_a_query_without_positives_is_laid_out_nowhere():
    assert sequences.lay_out([()], 10)[0, 1] == sequences.NOWHERE_M
