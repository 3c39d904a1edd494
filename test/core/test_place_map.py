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

from vpr_ros.core.place_map import PlaceMap
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
