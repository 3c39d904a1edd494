# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import subprocess
import sys

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.map_memory import map_bytes
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision
from vpr_ros.errors import MapError
from vpr_ros.tools.build_map import build_map, MapSource
from vpr_ros.tools.convert_map import convert_map
from vpr_ros.tools.describe_map import map_record, map_table

INT8 = Precision.INT8


@pytest.fixture
def depot(corridor, tmp_path):
    replace(corridor, calibration=Calibration()).save(tmp_path / 'depot.map')
    return tmp_path / 'depot.map'


def test_a_map_is_converted_and_stays_as_it_was(depot, corridor, tmp_path):
    before = PlaceMap.load(depot).digest
    done = convert_map(depot, tmp_path / 'small.map', INT8)
    small = PlaceMap.load(tmp_path / 'small.map')
    assert (small.precision, small.calibration, small.card) == (INT8, None, corridor.card)
    assert small.thumbnails == corridor.thumbnails
    np.testing.assert_array_equal(small.poses, corridor.poses)
    assert PlaceMap.load(depot).digest == before != small.digest
    assert 'calibration' in ' '.join(done.lines())
    assert 'run vpr calibrate again' in ' '.join(done.lines())
    assert (done.bytes_before, done.bytes_after) == (
        map_bytes(60, 256, Precision.FLOAT32), map_bytes(60, 256, INT8))


def test_what_cannot_be_converted_is_refused(depot, tmp_path):
    small = tmp_path / 'small.map'
    convert_map(depot, small, INT8)
    with pytest.raises(MapError, match='exists already'):
        convert_map(depot, small, INT8)
    for precision in (Precision.FLOAT32, Precision.FLOAT16):
        with pytest.raises(MapError, match=f'as int8, which {precision.value} cannot bring back'):
            convert_map(small, tmp_path / 'large.map', precision)
    with pytest.raises(MapError, match='as int8 already'):
        convert_map(small, tmp_path / 'large.map', INT8)
    with pytest.raises(MapError, match='as float32 already'):
        convert_map(depot, tmp_path / 'large.map', Precision.FLOAT32)
    assert not (tmp_path / 'large.map').exists()


@pytest.mark.parametrize('precision', list(Precision))
def test_info_says_in_what_and_how_large(corridor, tmp_path, precision):
    corridor.at(precision).save(tmp_path / 'a.map')
    record = map_record(tmp_path / 'a.map')
    assert record['precision'] == precision.value
    assert record['descriptors_on_disk_mb'] == pytest.approx(
        (60 * 256 * precision.bytes_each + 128) / 1e6, abs=1e-3)
    assert record['descriptors_in_memory_mb'] == pytest.approx(
        map_bytes(60, 256, precision) / 1e6, abs=1e-3)
    assert record['model'] == 'toy'
    assert map_table(record).row_count == len(record)


@pytest.mark.parametrize('precision', list(Precision))
def test_a_map_is_built_in_any_precision(drive, halves, describer, precision):
    with Recording([drive('run', halves(0, 20))]) as recording:
        place_map, _ = build_map(recording, MapSource('/image', '/pose', precision=precision),
                                 describer)
    assert place_map.precision is precision
    with Recording([drive('again', halves(0, 20))]) as recording:
        exact, _ = build_map(recording, MapSource('/image', '/pose'), describer)
    np.testing.assert_allclose(np.asarray(place_map.descriptors), exact.descriptors, atol=2e-3)


def vpr(*words):
    return subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', *map(str, words)],
        capture_output=True, text=True, check=False)


def test_the_command_converts_or_says_why_not(depot, tmp_path):
    done = vpr('map', 'convert', depot, '--precision', 'int8', '--out', tmp_path / 's.map')
    assert done.returncode == 0, done.stderr
    assert 'float32 to int8' in done.stdout
    info = vpr('map', 'info', tmp_path / 's.map', '--json')
    assert json.loads(info.stdout)['precision'] == 'int8'
    done = vpr('map', 'convert', tmp_path / 's.map', '--precision', 'float16',
               '--out', tmp_path / 'l.map')
    assert (done.returncode, done.stderr.count('\n')) == (2, 1)
    assert 'cannot bring back; build the map again' in done.stderr
    assert vpr('map', 'convert', depot, '--precision', 'int4', '--out', 'x').returncode == 2
