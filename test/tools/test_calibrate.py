# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.core.belief import BeliefConfig
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.verdict import VerifyConfig
from vpr_ros.datasets.sequences import open_pair
from vpr_ros.errors import BagError, MapError, VprError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.calibrate import calibrate_map, Target
from vpr_ros.tools.convert_map import convert_map
from vpr_ros.tools.describe_map import map_record
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.print_calibration import calibration_lines, next_step
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, POSE, write_run

DATA = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared')) / 'data'
TARGET = Target(0.95, Tolerance(1.6, 45.0))
ODOM = QuerySource(odom='/odom')


@pytest.fixture
def road(drive, halves, describer, tmp_path):
    """The folder of a map of 120 m."""
    write_map([drive('mapping', halves(0, 120))], tmp_path / 'road.map',
              MapSource('/image', '/pose'), describer, salvage=False, force=False)
    return tmp_path / 'road.map'


def evaluated(bag, road, describer, config=TARGET.config, source=ODOM):
    with Recording([bag]) as recording:
        return evaluate(recording, PlaceMap.load(road), describer, config, source,
                        TARGET.tolerance)


@pytest.mark.parametrize('source', [ODOM, QuerySource()])
def test_a_second_run_calibrates_and_a_third_keeps_the_promise(drive, halves, road, describer,
                                                               source):
    found = calibrate_map(road, [drive('query', halves(3.3, 110))], describer, source, TARGET)
    stored = PlaceMap.load(road).calibration
    assert stored == found.calibration
    assert (stored.precision, stored.settings) == (0.95, TARGET.config.settings())
    assert stored.source == 'query, ' + ('with odometry' if source.odom else 'without odometry')
    assert stored.odometry is bool(source.odom)
    assert stored.accepted >= 59
    assert stored.coverage > 0.5
    assert stored.reliability.error < 0.1
    assert found.off_map == found.frames == 214
    third = evaluated(drive('third', halves(20.2, 140)), road, describer, source=source)
    assert (third.threshold, third.calibration) == (stored.threshold, stored)
    assert third.report.precision > 0.95
    assert third.report.coverage > 0.5
    assert third.report.calibration_error < 0.2


def test_what_a_child_measured_on_the_map_of_its_parent_holds_for_the_child(drive, halves, road,
                                                                           describer):
    card = replace(describer.card, name='child', digest='cd' * 32,
                   queries_maps_of=(describer.card.digest,))
    child, query = type(describer)(card), drive('query', halves(3.3, 110))
    with pytest.raises(MapError, match='built by model toy .*not by child .*use that model'):
        calibrate_map(road, [query], type(describer)(replace(card, queries_maps_of=())), ODOM,
                      TARGET)
    calibrate_map(road, [query], child, ODOM, TARGET)
    place_map = PlaceMap.load(road)
    assert place_map.calibration.model == card.digest
    assert 'holds only for model cdcdcdcdcdcd' in map_record(road)['calibration']['summary']
    assert Localizer(TARGET.config, place_map, child).calibration == place_map.calibration
    own = Localizer(TARGET.config, place_map, describer)
    assert own.calibration is None
    assert own.unlike_calibration == (
        f'the model is {describer.card.digest[:12]}, not cdcdcdcdcdcd')


@pytest.mark.parametrize('by', ['a run', 'itself'])
def test_a_map_in_int8_is_calibrated_as_well(drive, halves, road, describer, tmp_path, by):
    small = tmp_path / 'small.map'
    convert_map(road, small, Precision.INT8)
    bags = [drive('query', halves(3.3, 110))] if by == 'a run' else []
    calibrate_map(small, bags, describer, ODOM, replace(TARGET, precision=0.8))
    place_map = PlaceMap.load(small)
    assert (place_map.precision, place_map.calibration.model) == (Precision.INT8, '')
    assert Localizer(TARGET.config, place_map, describer).calibration is not None


def test_what_is_stored_is_what_is_used(drive, halves, road, describer):
    calibrate_map(road, [drive('query', halves(3.3, 110))], describer, ODOM, TARGET)
    place_map = PlaceMap.load(road)
    assert Localizer(TARGET.config, place_map, describer).threshold == (
        place_map.calibration.threshold)
    chosen = replace(TARGET.config, accept_probability=0.77)
    assert Localizer(chosen, place_map, describer).threshold == 0.77
    others = replace(TARGET.config, belief=BeliefConfig(memory_steps=20.0))
    fallback = evaluated(drive('third', halves(20, 40)), road, describer, others)
    assert fallback.calibration is None
    assert any('memory_steps is 20.0, not 10.0' in remark for remark in fallback.remarks)
    without = evaluated(drive('fourth', halves(20, 40)), road, describer, source=QuerySource())
    assert any('calibrated with odometry, and this run gave none' in remark
               for remark in without.remarks)


def test_a_map_calibrates_itself_and_says_that_this_is_optimistic(drive, halves, road, describer):
    found = calibrate_map(road, [], None, QuerySource(), replace(TARGET, precision=0.9))
    stored = PlaceMap.load(road).calibration
    assert stored.source == ('the map against itself (optimistic: the same light and the same '
                             'day), without odometry')
    assert found.frames == 120
    assert '(and 1.0 m more' in found.protocol
    third = evaluated(drive('third', halves(20.2, 140)), road, describer, source=QuerySource())
    assert third.calibration == stored
    assert third.report.precision > 0.9
    assert 'optimistic' in map_record(road)['calibration']['summary']
    assert any('optimistic' in line for line in calibration_lines(found))


def test_sessions_of_the_same_way_calibrate_one_another(drive, halves, describer, tmp_path):
    bags = [drive('monday', halves(0, 120)), drive('friday', halves(0.3, 120), start_s=1e5)]
    write_map(bags, tmp_path / 'two.map', MapSource('/image', '/pose'), describer, salvage=False,
              force=False)
    found = calibrate_map(tmp_path / 'two.map', [], None, QuerySource(), TARGET, odometry=True)
    assert found.calibration.source == ('the sessions of the map against one another, with '
                                        'odometry')
    assert found.frames == 239
    assert found.slack_m == 0.0


@pytest.mark.parametrize(('xs', 'precision', 'words'), [
    ((3.3, 110), 0.999, r'needs \d+ more confirmed frames.*lower precision \(they show 0\.9'),
    ((3.3, 20), 0.95, 'cannot show a precision of 0.95|take a longer run'),
    ((300, 400), 0.95, 'was found where it was taken'),
])
def test_what_the_run_cannot_support_is_refused(drive, halves, road, describer, xs, precision,
                                                words):
    before = PlaceMap.load(road).digest
    with pytest.raises(MapError, match=words):
        calibrate_map(road, [drive('query', halves(*xs))], describer, ODOM,
                      replace(TARGET, precision=precision))
    assert PlaceMap.load(road).digest == before


@pytest.mark.parametrize('precision', [0.4, 1.0, float('nan')])
def test_a_precision_that_nobody_can_promise_is_refused_at_once(precision):
    with pytest.raises(MapError, match='at least 0.5 and below 1'):
        Target(precision)


def test_a_run_without_poses_is_refused(drive, halves, road, describer):
    bag = drive('query', halves(3.3, 110), pose_delay_s=900.0)
    with pytest.raises(BagError, match='none of the 214 images'):
        calibrate_map(road, [bag], describer, ODOM, TARGET)
    with pytest.raises(BagError, match='/nope'):
        calibrate_map(road, [bag], describer, QuerySource(pose='/nope'), TARGET)


def test_another_model_is_refused(drive, halves, road, describer):
    describer.card = replace(describer.card, digest='0' * 64)
    with pytest.raises(MapError, match='the map was built by model'):
        calibrate_map(road, [drive('query', halves(3.3, 50))], describer, ODOM, TARGET)


def test_a_map_that_is_too_small_to_be_lost_in_is_refused(drive, halves, describer, tmp_path):
    write_map([drive('mapping', halves(0, 12))], tmp_path / 'small.map',
              MapSource('/image', '/pose'), describer, salvage=False, force=False)
    with pytest.raises(MapError, match='too small for this run'):
        calibrate_map(tmp_path / 'small.map', [drive('query', halves(0, 12))], describer, ODOM,
                      TARGET)


def test_places_too_far_apart_cannot_calibrate_themselves(drive, describer, tmp_path):
    write_map([drive('mapping', np.arange(0, 200, 5.0))], tmp_path / 'coarse.map',
              MapSource('/image', '/pose'), describer, salvage=False, force=False)
    with pytest.raises(MapError, match='too far from one another.*--query'):
        calibrate_map(tmp_path / 'coarse.map', [], None, QuerySource(), TARGET)


def test_a_map_without_pictures_cannot_verify_itself(road):
    verifying = replace(TARGET.config, verify=VerifyConfig('always'))
    with pytest.raises(MapError, match='cannot verify itself'):
        calibrate_map(road, [], None, QuerySource(), replace(TARGET, config=verifying))


def test_a_robot_that_stands_still_proves_nothing(drive, halves, road, describer):
    driven = halves(3.3, 110)
    parked = np.concatenate([driven[:100], np.full(300, driven[99]), driven[100:]])
    found = calibrate_map(road, [drive('query', parked, odom=False)], describer, QuerySource(),
                          TARGET)
    assert found.frames == len(driven)


def test_the_files_say_it_all_and_are_not_overwritten(drive, halves, road, describer, tmp_path):
    bag, out = drive('query', halves(3.3, 110)), tmp_path / 'cal'
    found = calibrate_map(road, [bag], describer, ODOM, TARGET, out=out)
    record = json.loads((out / 'calibration.json').read_text())
    assert record['threshold'] == found.calibration.threshold
    assert record['protocol'] == found.protocol
    assert (out / 'reliability.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(VprError, match='exists already'):
        calibrate_map(road, [bag], describer, ODOM, TARGET, out=out)
    text = '\n'.join(calibration_lines(found))
    for words in ('promised         precision 0.95', 'accepted poses right', 'said   true'):
        assert words in text
    command = next_step(road, PlaceMap.load(road), '', '/odom', None)
    assert command.endswith(f'map:={road} image:=/image odom:=/odom')


def test_an_interrupted_store_leaves_the_old_map(road):
    before = PlaceMap.load(road).digest
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from vpr_ros.core import folder
        from vpr_ros.core.scoring import Tolerance
        from vpr_ros.tools.calibrate import calibrate_map, Target
        from vpr_ros.tools.query_run import QuerySource
        folder._exchange = lambda new, at: os.kill(os.getpid(), signal.SIGKILL)
        calibrate_map(Path({str(road)!r}), [], None, QuerySource(),
                      Target(0.9, Tolerance(1.6, 45.0)))
        """)
    done = subprocess.run([sys.executable, '-c', script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert PlaceMap.load(road).digest == before


def test_the_command(road):
    def vpr(*words):
        return subprocess.run(
            [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', *map(str, words)],
            capture_output=True, text=True, check=False, env={**os.environ, 'COLUMNS': '200'})
    refused = vpr('calibrate', road, '--precision', '0.9', '--odom', '/odom')
    assert (refused.returncode, refused.stderr.count('\n')) == (2, 1)
    assert '--query' in refused.stderr
    refused = vpr('calibrate', road, '--precision', '0.9999', '--tolerance-m', '1.6')
    assert refused.returncode == 2
    assert 'cannot show a precision of 0.9999' in refused.stderr
    done = vpr('calibrate', road, '--precision', '0.9', '--tolerance-m', '1.6')
    assert done.returncode == 0, done.stderr
    assert 'optimistic' in done.stdout
    assert f'map:={Path(road)} image:=/image\n' in done.stdout
    shown = json.loads(vpr('map', 'info', road, '--json').stdout)['calibration']
    assert (shown['precision'], shown['odometry']) == (0.9, False)
    assert 'optimistic' in vpr('map', 'info', road).stdout


def test_a_map_that_nobody_calibrated_says_so(drive, halves, road, describer):
    assert map_record(road)['calibration'] is None
    found = evaluated(drive('query', halves(20, 40)), road, describer)
    assert found.threshold == 0.9
    assert any('not calibrated' in remark for remark in found.remarks)
    assert found.calibration is None
    assert evaluated(drive('again', halves(20, 40)), road, describer,
                     LocalizerConfig(accept_probability=0.5)).threshold == 0.5


@pytest.mark.skipif(not DATA.is_dir(), reason=f'no image sets at {DATA}; set VPR_SHARED')
def test_a_real_corridor_is_calibrated(tmp_path):
    pair, network = open_pair('corridor', DATA), load_describer(None, 1)
    mapping, query = (write_run(run, tmp_path / role) for role, run in (('map', pair.mapping),
                                                                        ('query', pair.query)))
    write_map([mapping], tmp_path / 'a.map',
              MapSource(COMPRESSED, POSE, spacing_m=0.0, max_gap_s=1e6), network, salvage=False,
              force=False)
    found = calibrate_map(tmp_path / 'a.map', [query], network, QuerySource(max_gap_s=1e6),
                          Target(0.9, Tolerance(pair.tolerance_m, pair.tolerance_deg)))
    assert found.frames == found.off_map == len(pair.query.images)
    assert found.calibration.coverage > 0.5
    assert found.calibration.reliability.error < 0.15
