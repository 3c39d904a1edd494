# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import extract, FeatureConfig, FeatureKind
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import BagError, MapError, VprError
from vpr_ros.tools.build_map import build_map, MapSource, write_map

SOURCE = MapSource('/image', '/pose')


def built(bags, describer, source=SOURCE, salvage=False):
    with Recording(bags, salvage) as recording:
        return build_map(recording, source, describer)


def test_a_place_is_kept_each_spacing(drive, halves, describer, toy_picture):
    place_map, summary = built([drive('run', halves(0, 20))], describer)
    np.testing.assert_allclose(place_map.poses[:, 0], np.arange(20))
    assert summary.places == 20
    for row, x in enumerate(range(20)):
        look = describer.describe([toy_picture(float(x))])[0]
        assert place_map.descriptors[row] @ look == pytest.approx(1.0, abs=1e-5)


def test_spacing_zero_keeps_every_image_and_every_n_th_thins(drive, halves, describer):
    bag = drive('run', halves(0, 20))
    every = MapSource('/image', '/pose', spacing_m=0.0)
    assert len(built([bag], describer, every)[0]) == 40
    assert len(built([bag], describer, MapSource('/image', '/pose', spacing_m=0.0, every=4))[0]
               ) == 10


def test_the_map_remembers_where_it_came_from(drive, halves, describer, tmp_path):
    place_map, summary = built([drive('run', halves(0, 5))], describer,
                               MapSource('/image', '/pose', camera='front'))
    assert place_map.topics == {'front': '/image'}
    assert (place_map.pose_source, place_map.frame_id) == ('/pose', 'map')
    assert place_map.sessions == ('run',)
    assert place_map.card == describer.card
    assert place_map.cameras[0].name == 'front'
    np.testing.assert_allclose(place_map.cameras[0].base_from_camera[:3], [0.2, 0.0, 0.5])
    assert all(jpeg[:2] == b'\xff\xd8' for jpeg in place_map.thumbnails)
    assert summary.mounted


def test_no_mount_is_invented(drive, halves, describer):
    place_map, summary = built([drive('run', halves(0, 5), mount=None)], describer)
    assert place_map.cameras[0].base_from_camera is None
    assert any('no /tf_static' in line for line in summary.lines())


def test_several_bags_are_sessions_of_one_map(drive, halves, describer):
    bags = [drive('one', halves(0, 5)), drive('two', halves(50, 55), start_s=1000.0)]
    place_map, _ = built(bags, describer)
    assert place_map.sessions == ('one', 'two')
    np.testing.assert_array_equal(place_map.session_of, [0] * 5 + [1] * 5)
    np.testing.assert_allclose(place_map.poses[5:, 0], np.arange(50, 55))


def test_images_that_cannot_be_decoded_are_counted_and_skipped(drive, halves, describer):
    place_map, summary = built([drive('run', halves(0, 10), spoil={0, 4})], describer)
    assert summary.images.skipped == 2
    assert any('2 of' in line and 'skipped' in line for line in summary.lines())
    assert len(place_map) == 8


def test_nothing_but_undecodable_images_is_an_error(drive, halves, describer):
    with pytest.raises(BagError, match='no place could be made from /image: 4 of 4 images'):
        built([drive('run', halves(0, 4), spoil=range(8))], describer)


def test_images_without_poses_at_their_time_are_an_error(drive, halves, describer):
    with pytest.raises(BagError, match='none of the 10 images.*same clock'):
        built([drive('run', halves(0, 5), pose_delay_s=500.0)], describer)


def test_images_before_the_first_pose_are_left_out(drive, halves, describer):
    place_map, summary = built([drive('run', halves(0, 10), pose_delay_s=3.0)], describer)
    assert summary.without_pose == 3
    assert len(place_map) > 5


def test_an_existing_map_is_refused_before_any_work(drive, halves, describer, tmp_path):
    bag, out = drive('run', halves(0, 5)), tmp_path / 'a.map'
    write_map([bag], out, SOURCE, describer, salvage=False, force=False)
    before = PlaceMap.load(out).digest
    with pytest.raises(MapError, match='exists already'):
        write_map([tmp_path / 'absent'], out, SOURCE, describer, salvage=False, force=False)
    with pytest.raises(BagError, match='does not exist'):
        write_map([tmp_path / 'absent'], out, SOURCE, describer, salvage=False, force=True)
    assert PlaceMap.load(out).digest == before


def test_a_failure_leaves_nothing_behind(drive, halves, describer, tmp_path):
    bag = drive('run', halves(0, 5))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BagError, match='/wrong'):
        write_map([bag], tmp_path / 'a.map', MapSource('/wrong', '/pose'), describer,
                  salvage=False, force=False)
    assert sorted(tmp_path.iterdir()) == before


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(VprError, match='--spacing-m'):
        MapSource('/image', '/pose', spacing_m=-1.0)


LENS = Intrinsics(96, 64, 90.0, 90.0, 47.5, 31.5)


@pytest.fixture
def lit(tmp_path):
    """Record a drive past random textures: `lit(lens) -> bag`; no lens, no CameraInfo."""
    def record(lens, name='lit'):
        rng = np.random.default_rng(0)
        with BagWriter(tmp_path / name) as bag:
            for row in range(5):
                stamp_ns = row * 10**9
                bag.pose_stamped('/pose', stamp_ns, se3.from_xy_yaw(float(row), 0.0, 0.0))
                blocks = rng.integers(0, 255, (8, 12, 3), np.uint8)
                bag.image('/image', stamp_ns, np.kron(blocks, np.ones((8, 8, 1), np.uint8)))
                if lens is not None:
                    bag.camera_info('/camera_info', stamp_ns, lens)
        return tmp_path / name
    return record


@pytest.mark.parametrize('kind', list(FeatureKind))
def test_local_features_are_kept_when_asked_for(lit, describer, tmp_path, kind):
    source = replace(SOURCE, features=kind)
    summary = write_map([lit(LENS)], tmp_path / 'a.map', source, describer, False, False)
    place_map = PlaceMap.load(tmp_path / 'a.map')
    assert place_map.cameras[0].intrinsics == LENS
    assert not any('CameraInfo' in line for line in summary.lines())
    with Recording(lit(None, 'again')) as recording:
        image = next(iter(recording.decoded(['/image'])))[1]
    pixels = image.data.reshape(64, 96, 3)
    expected = extract(pixels, FeatureConfig(kind))
    assert len(expected) > 10
    np.testing.assert_array_equal(place_map.features_of(0).points, expected.points)
    np.testing.assert_array_equal(place_map.features_of(0).descriptors, expected.descriptors)


def test_by_default_there_are_no_local_features_but_the_lens(lit, describer):
    place_map, _ = built([lit(LENS)], describer)
    assert (place_map.features, place_map.cameras[0].intrinsics) == (None, LENS)


def test_features_without_a_lens_say_so(lit, describer):
    _, summary = built([lit(None)], describer, replace(SOURCE, features=FeatureKind.ORB))
    assert any('no calibrated CameraInfo for /image' in line for line in summary.lines())


def test_a_camera_info_that_was_named_must_be_there(lit, describer):
    with pytest.raises(BagError, match='no topic /wrong'):
        built([lit(LENS)], describer, replace(SOURCE, camera_info='/wrong'))
