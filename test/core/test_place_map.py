# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import textwrap

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.confidence import Confidence, Reliability
from vpr_ros.core.folder import seal
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import FeatureConfig, FeatureKind, Features
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision
from vpr_ros.core.thumbnails import PackedThumbnails
from vpr_ros.errors import MapError


@pytest.fixture
def saved(corridor, tmp_path) -> Path:
    corridor.save(tmp_path / 'a.map')
    return tmp_path / 'a.map'


def test_a_map_comes_back_as_it_was(corridor, saved):
    loaded = PlaceMap.load(saved)
    np.testing.assert_array_equal(loaded.descriptors, corridor.descriptors)
    np.testing.assert_array_equal(loaded.poses, corridor.poses)
    np.testing.assert_array_equal(loaded.stamps_ns, corridor.stamps_ns)
    assert loaded.thumbnails == corridor.thumbnails
    assert (loaded.card, loaded.sessions, loaded.topics) == (
        corridor.card, corridor.sessions, corridor.topics)
    np.testing.assert_array_equal(loaded.cameras[0].base_from_camera,
                                  corridor.cameras[0].base_from_camera)
    assert loaded.digest


def test_descriptors_are_mapped_and_not_read(saved):
    assert isinstance(PlaceMap.load(saved).descriptors, np.memmap)


def test_a_map_without_thumbnails_comes_back(corridor, tmp_path):
    replace(corridor, thumbnails=()).save(tmp_path / 'b.map')
    assert PlaceMap.load(tmp_path / 'b.map').thumbnails == ()


def test_an_existing_map_is_refused_and_replaced_with_force(corridor, saved):
    with pytest.raises(MapError, match='exists already.*--force'):
        corridor.save(saved)
    replace(corridor, frame_id='other').save(saved, force=True)
    assert PlaceMap.load(saved).frame_id == 'other'
    assert os.listdir(saved.parent) == [saved.name]


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_is_noticed(saved, data):
    file = data.draw(st.sampled_from(sorted(saved.iterdir())))
    original = file.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    file.write_bytes(original[:at] + bytes([original[at] ^ (1 << bit)]) + original[at + 1:])
    try:
        with pytest.raises(MapError, match='map'):
            PlaceMap.load(saved)
    finally:
        file.write_bytes(original)


@settings(max_examples=30, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cut_is_noticed(saved, data):
    file = data.draw(st.sampled_from(sorted(saved.iterdir())))
    original = file.read_bytes()
    file.write_bytes(original[:data.draw(st.integers(0, len(original) - 1))])
    try:
        with pytest.raises(MapError, match=file.name):
            PlaceMap.load(saved)
    finally:
        file.write_bytes(original)


def test_a_missing_file_is_named(saved):
    (saved / 'places.npz').unlink()
    with pytest.raises(MapError, match=r'places\.npz is missing'):
        PlaceMap.load(saved)


def test_another_schema_is_refused(saved):
    record = json.loads((saved / 'map.json').read_text())
    (saved / 'map.json').write_text(json.dumps({**record, 'schema': 99}))
    with pytest.raises(MapError, match='schema 99.*build the map again'):
        PlaceMap.load(saved)


def test_what_is_no_map_says_so(tmp_path):
    with pytest.raises(MapError, match='there is no map at'):
        PlaceMap.load(tmp_path / 'absent')
    with pytest.raises(MapError, match='is no map folder'):
        PlaceMap.load(tmp_path)


def written_by_the_first_version(place_map, folder):
    """Write a map as it was before there were precisions."""
    folder.mkdir()
    np.save(folder / 'descriptors.npy', place_map.descriptors)
    np.savez(folder / 'places.npz', poses=place_map.poses, stamps_ns=place_map.stamps_ns,
             camera_of=place_map.camera_of, session_of=place_map.session_of,
             thumbnail_ends=np.cumsum([len(jpeg) for jpeg in place_map.thumbnails]))
    (folder / 'thumbnails.bin').write_bytes(b''.join(place_map.thumbnails))
    record = {
        'schema': 1, 'frame_id': place_map.frame_id, 'sessions': list(place_map.sessions),
        'cameras': [{'name': camera.name, 'base_from_camera': list(camera.base_from_camera),
                     'intrinsics': None} for camera in place_map.cameras],
        'topics': dict(place_map.topics), 'pose_source': place_map.pose_source,
        'card': place_map.card.to_json(), 'calibration': Calibration().record()}
    (folder / 'map.json').write_text(json.dumps(seal(record, folder), indent=2))


def test_a_map_of_the_first_version_is_read_and_one_in_float32_is_written_so(corridor, tmp_path):
    written_by_the_first_version(corridor, tmp_path / 'old.map')
    old = PlaceMap.load(tmp_path / 'old.map')
    assert (old.precision, old.thumbnails, old.calibration) == (
        Precision.FLOAT32, corridor.thumbnails, Calibration())
    np.testing.assert_array_equal(old.descriptors, corridor.descriptors)
    old.save(tmp_path / 'new.map')
    records = [json.loads((tmp_path / name / 'map.json').read_text())
               for name in ('old.map', 'new.map')]
    for record in records:
        del record['digest'], record['files']['places.npz']   # zip files hold the time
    assert records[0] == records[1]


@pytest.mark.parametrize('precision', [Precision.FLOAT16, Precision.INT8])
def test_a_map_in_fewer_bits_comes_back(corridor, tmp_path, precision):
    small = corridor.at(precision)
    small.save(tmp_path / 's.map')
    loaded = PlaceMap.load(tmp_path / 's.map')
    assert loaded.precision is precision
    assert isinstance(loaded.descriptors.codes, np.memmap)
    np.testing.assert_array_equal(np.asarray(loaded.descriptors), np.asarray(small.descriptors))
    np.testing.assert_allclose(np.asarray(loaded.descriptors), corridor.descriptors, atol=2e-3)
    file = tmp_path / 's.map' / 'descriptors.npy'
    assert file.stat().st_size == 128 + 60 * 256 * precision.bytes_each
    record = json.loads((tmp_path / 's.map' / 'map.json').read_text())
    assert (record['schema'], record['precision']) == (2, precision.value)
    loaded.save(tmp_path / 'again.map')
    assert (tmp_path / 'again.map' / 'descriptors.npy').read_bytes() == file.read_bytes()


def test_fewer_bits_are_not_brought_back_and_end_a_calibration(corridor):
    measured = replace(corridor, calibration=Calibration(), digest='ab')
    assert measured.at(Precision.FLOAT32) is measured
    half = measured.at(Precision.FLOAT16)
    assert (half.calibration, half.digest) == (None, '')
    assert half.at(Precision.INT8).precision is Precision.INT8
    with pytest.raises(MapError, match=r'as int8, which float16 cannot bring back; build the map'):
        half.at(Precision.INT8).at(Precision.FLOAT16)


def test_a_newer_schema_says_so(saved):
    resealed(saved, schema=3)
    with pytest.raises(MapError, match=r'schema 3, this version reads up to 2; it is of a newer '
                                       r'version: use that one, or build the map again'):
        PlaceMap.load(saved)


@pytest.mark.parametrize(('codes', 'precision', 'words'), [
    (np.zeros((60, 256), np.int8), 'int8', 'do not use their range'),
    (np.full((60, 256), np.nan, np.float16), 'float16', 'NaN or not of unit length'),
    (np.zeros((60, 256), np.float32), 'int8', 'holds float32, not int8'),
    (np.full((60, 256), 127, np.int8), 'float32', 'holds int8, not float32'),
    (np.full((60, 256), 127, np.int8), 'int4', "'int4' is not a valid Precision"),
    (np.full((60, 255), 127, np.int8), 'int8', r'shape \(60, 255\) do not fit'),
    (np.full(60, 127, np.int8), 'int8', r'shape \(60,\)'),
])
def test_descriptors_that_contradict_the_record_are_refused(saved, codes, precision, words):
    np.save(saved / 'descriptors.npy', codes)
    resealed(saved, schema=2, precision=precision)
    with pytest.raises(MapError, match=f'{words}.*build the map again'):
        PlaceMap.load(saved)


@pytest.mark.parametrize('precision', [Precision.FLOAT16, Precision.INT8])
@pytest.mark.parametrize('harm', ['cut', 'flip', 'remove'])
def test_harmed_descriptors_in_fewer_bits_are_refused_by_name(corridor, tmp_path, precision, harm):
    corridor.at(precision).save(tmp_path / 's.map')
    file = tmp_path / 's.map' / 'descriptors.npy'
    original = file.read_bytes()
    if harm == 'remove':
        file.unlink()
    else:
        file.write_bytes(original[:-1] if harm == 'cut' else original[:-1]
                         + bytes([original[-1] ^ 1]))
    with pytest.raises(MapError, match=r'descriptors\.npy'):
        PlaceMap.load(tmp_path / 's.map')


def test_thumbnails_stay_on_disk_until_one_is_looked_at(corridor, saved):
    pictures = PlaceMap.load(saved).thumbnails
    assert isinstance(pictures, PackedThumbnails)
    assert (pictures[0], pictures[59], pictures[-1]) == (b'jpeg0', b'jpeg59', b'jpeg59')
    assert pictures[10:12] == (b'jpeg10', b'jpeg11')
    with pytest.raises(IndexError):
        pictures[60]
    assert pictures != corridor.thumbnails[:-1]
    assert pictures != (*corridor.thumbnails[:-1], b'other')


def test_thumbnails_whose_file_has_another_length_are_refused(saved):
    (saved / 'thumbnails.bin').write_bytes(b'jpeg')
    resealed(saved)
    with pytest.raises(MapError, match=r'no valid map.*size of thumbnails\.bin'):
        PlaceMap.load(saved)


@pytest.mark.parametrize(('change', 'words'), [
    ({'descriptors': np.full((60, 256), np.nan, np.float32)}, 'NaN or not of unit length'),
    ({'descriptors': np.ones((60, 256), np.float32)}, 'not of unit length'),
    ({'descriptors': np.ones((60, 255), np.float32)}, 'do not fit'),
    ({'poses': np.tile([0, 0, 0, 0, 0, 0, 0.5], (60, 1))}, 'unit length'),
    ({'stamps_ns': np.arange(59)}, 'not all of one number'),
    ({'camera_of': np.full(60, 3, np.int32)}, 'names a camera'),
    ({'session_of': np.full(60, -1, np.int32)}, 'names a session'),
])
def test_contradictions_are_refused(corridor, change, words):
    with pytest.raises(MapError, match=words):
        replace(corridor, **change)


def test_a_killed_save_leaves_the_old_map(saved):
    before = PlaceMap.load(saved).digest
    script = textwrap.dedent(f"""
        import os, signal
        from dataclasses import replace
        from pathlib import Path
        import numpy as np
        from vpr_ros.core import folder
        from vpr_ros.core.place_map import PlaceMap
        old = PlaceMap.load(Path({str(saved)!r}))
        folder._exchange = lambda new, at: os.kill(os.getpid(), signal.SIGKILL)
        replace(old, frame_id='new').save(Path({str(saved)!r}), force=True)
        """)
    done = subprocess.run([sys.executable, '-c', script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert PlaceMap.load(saved).digest == before


def packed(counts, kind=FeatureKind.ORB):
    rng = np.random.default_rng(0)
    return PackedFeatures.pack(FeatureConfig(kind, 77, 320), [
        Features(kind, 320, 240, rng.uniform(0, 240, (count, 2)).astype(np.float32),
                 rng.integers(0, 255, (count, kind.bytes_each), np.uint8)) for count in counts])


@pytest.fixture
def with_features(corridor, tmp_path) -> Path:
    path = tmp_path / 'f.map'
    replace(corridor, features=packed([row % 4 for row in range(60)])).save(path)
    return path


@pytest.mark.parametrize('kind', list(FeatureKind))
def test_features_come_back_and_stay_on_disk(corridor, tmp_path, kind):
    features = packed([row % 4 for row in range(60)], kind)
    replace(corridor, features=features).save(tmp_path / 'f.map')
    loaded = PlaceMap.load(tmp_path / 'f.map')
    assert loaded.features.config == FeatureConfig(kind, 77, 320)
    assert isinstance(loaded.features.points, np.memmap)
    assert isinstance(loaded.features.descriptors, np.memmap)
    for place in range(60):
        there = loaded.features_of(place)
        assert not isinstance(there.descriptors, np.memmap)
        np.testing.assert_array_equal(there.points, features.of(place).points)
        np.testing.assert_array_equal(there.descriptors, features.of(place).descriptors)


def test_a_map_may_hold_no_feature_at_all_of_any_place(corridor, tmp_path):
    replace(corridor, features=packed([0] * 60)).save(tmp_path / 'f.map')
    assert len(PlaceMap.load(tmp_path / 'f.map').features_of(59)) == 0


def test_a_map_without_features_has_no_file_of_them(corridor, saved):
    assert not list(saved.glob('feature*'))
    assert PlaceMap.load(saved).features_of(0) is None


def test_a_map_from_before_there_were_features_is_read(saved):
    record = json.loads((saved / 'map.json').read_text())
    for key in ('digest', 'files'):
        del record[key]
    for camera in record['cameras']:
        del camera['intrinsics']
    (saved / 'map.json').unlink()
    (saved / 'map.json').write_text(json.dumps(seal(record, saved)))
    loaded = PlaceMap.load(saved)
    assert (loaded.features, loaded.cameras[0].intrinsics) == (None, None)


@pytest.mark.parametrize('name', ['feature_points.npy', 'feature_descriptors.npy',
                                  'feature_extents.npz'])
@pytest.mark.parametrize('harm', ['cut', 'flip', 'remove'])
def test_harmed_features_are_refused_by_name(with_features, name, harm):
    file = with_features / name
    original = file.read_bytes()
    if harm == 'remove':
        file.unlink()
    elif harm == 'cut':
        file.write_bytes(original[:-1])
    else:
        middle = len(original) // 2
        file.write_bytes(original[:middle] + bytes([original[middle] ^ 4]) + original[middle + 1:])
    with pytest.raises(MapError, match=name):
        PlaceMap.load(with_features)


def test_features_that_contradict_the_map_are_refused(corridor, with_features):
    with pytest.raises(MapError, match='local features of 59 places, not of 60'):
        replace(corridor, features=packed([1] * 59))
    np.save(with_features / 'feature_points.npy', np.zeros((3, 2), np.float32))
    record = json.loads((with_features / 'map.json').read_text())
    for key in ('digest', 'files'):
        del record[key]
    (with_features / 'map.json').unlink()
    (with_features / 'map.json').write_text(json.dumps(seal(record, with_features)))
    with pytest.raises(MapError, match='no valid map.*local features'):
        PlaceMap.load(with_features)


def test_the_lens_comes_back(corridor, tmp_path):
    lens = Intrinsics(640, 480, 400.0, 401.0, 320.0, 240.0, 'equidistant', (0.1, 0.0, 0.0, 0.01))
    replace(corridor, cameras=(replace(corridor.cameras[0], intrinsics=lens),)).save(
        tmp_path / 'c.map')
    assert PlaceMap.load(tmp_path / 'c.map').cameras[0].intrinsics == lens


def resealed(saved, **changes):
    """Change the record of a saved map as another version would have written it."""
    record = json.loads((saved / 'map.json').read_text())
    for key in ('digest', 'files'):
        del record[key]
    (saved / 'map.json').unlink()
    (saved / 'map.json').write_text(json.dumps(seal({**record, **changes}, saved)))


def test_the_calibration_comes_back(corridor, tmp_path):
    measured = Calibration(
        Confidence(-3.0, 0.1, 0.2, 3.0, 0.4, 0.5), 0.93, 0.98, 400, 2, 0.7,
        Reliability((0, 400), (0.0, 0.97), (0.0, 0.99)), 'a second run', False,
        LocalizerConfig().settings())
    replace(corridor, calibration=measured).save(tmp_path / 'c.map')
    loaded = PlaceMap.load(tmp_path / 'c.map')
    assert loaded.calibration == measured
    assert loaded.calibration.settings == LocalizerConfig().settings()


def test_a_map_of_which_nothing_was_measured_has_no_calibration(saved):
    assert PlaceMap.load(saved).calibration is None
    assert 'calibration' not in json.loads((saved / 'map.json').read_text())


@pytest.mark.parametrize('calibration', [None, {}, {'threshold': 0.9},
                                         {**Calibration().record(), 'confidence': {'bias': 0.0}},
                                         {**Calibration().record(), 'isotonic': [0.1]}], ids=repr)
def test_a_calibration_of_another_version_is_refused(saved, calibration):
    resealed(saved, calibration=calibration)
    with pytest.raises(MapError, match=r'calibration of the map.*vpr calibrate'):
        PlaceMap.load(saved)


def test_a_calibration_that_was_changed_by_hand_is_noticed(corridor, tmp_path):
    replace(corridor, calibration=Calibration()).save(tmp_path / 'c.map')
    record = json.loads((tmp_path / 'c.map' / 'map.json').read_text())
    record['calibration']['threshold'] = 0.1
    (tmp_path / 'c.map' / 'map.json').write_text(json.dumps(record))
    with pytest.raises(MapError, match='damaged'):
        PlaceMap.load(tmp_path / 'c.map')
