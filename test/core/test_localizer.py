# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from functools import cache

import cv2
from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import BeliefConfig
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.clusters import Cluster, ClusterConfig
from vpr_ros.core.confidence import Confidence
from vpr_ros.core.evidence import EvidenceConfig
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import extract, FeatureConfig
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.types import Camera, Frame, Reason
from vpr_ros.core.verdict import VerifyConfig
from vpr_ros.errors import MapError

CONFIG = LocalizerConfig()
EACH = replace(CONFIG, step_each_frame=True)
ALWAYS, DOUBTFUL = (replace(CONFIG, verify=VerifyConfig(mode)) for mode in ('always', 'ambiguous'))
SURE = Calibration(Confidence(20.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.5, settings=CONFIG.settings())
NEVER = replace(SURE, threshold=0.9, confidence=replace(SURE.confidence, bias=-20.0))
LENS = Intrinsics(320, 240, 200.0, 200.0, 159.5, 119.5)


def drive(localizer, view, places, start_s=0.0, odometry=True, pace=1.0):
    """Drive through `places`, one a second and a meter, and return the outcomes."""
    return [localizer.localize(view(place, start_s + i),
                               *([ahead(pace * i)] if odometry else []))
            for i, place in enumerate(places)]


def ahead(x_m):
    """Odometry that has the robot `x_m` ahead of its start."""
    return lambda stamp_ns: se3.from_xy_yaw(x_m, 0.0, 0.0)


def part(place_map, rows, **changes):
    """Return the map of these rows, in this order."""
    rows = np.asarray(rows)
    return replace(place_map, **({
        'descriptors': place_map.descriptors[rows], 'poses': place_map.poses[rows],
        'stamps_ns': place_map.stamps_ns[rows], 'camera_of': place_map.camera_of[rows],
        'session_of': place_map.session_of[rows], 'thumbnails': ()} | changes))


def twins_of(corridor):
    """A map of 30 places that all look like one of another 30, 50 m beside."""
    poses = np.concatenate([corridor.poses[:30], corridor.poses[:30]])
    poses[30:, 1] = 50.0
    return part(corridor, [*range(30), *range(30)], poses=poses,
                session_of=np.repeat([0, 1], 30).astype(np.int32), sessions=('one', 'two'))


def reasons(outcomes):
    return [outcome.reason for outcome in outcomes]


def assert_same(a, b, exactly=True):
    """The outcomes are equal, but for the rows of the map."""
    near = {'rtol': 0, 'atol': 0} if exactly else {'rtol': 1e-4, 'atol': 1e-4}
    assert reasons(a) == reasons(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one.unknown_probability, other.unknown_probability, **near)
        assert len(one.hypotheses) == len(other.hypotheses)
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            np.testing.assert_allclose(mine.pose, theirs.pose, **near)
            np.testing.assert_allclose(mine.covariance, theirs.covariance, **near)
            np.testing.assert_allclose(mine.probability, theirs.probability, **near)


# -- Finding --------------------------------------------------------------------------------------

@pytest.mark.parametrize('odometry', [True, False])
def test_a_known_road_ends_in_right_poses(corridor, describer, view, odometry):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(10, 40),
                     odometry=odometry)
    assert reasons(outcomes[-10:]) == [Reason.ACCEPTED] * 10
    for place, outcome in zip(range(10, 40), outcomes, strict=True):
        assert outcome.matches[0].place == place
        assert outcome.signs is not None
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 1.0
            assert outcome.accepted.frame_id == 'map'


def test_no_single_look_is_believed(corridor, describer, view):
    """The best place must have gone on for `confirm_steps`."""
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(10, 30))
    first = reasons(outcomes).index(Reason.ACCEPTED)
    assert first >= CONFIG.confirm_steps
    assert Reason.UNCONFIRMED in reasons(outcomes[:first])


@pytest.mark.parametrize('odometry', [True, False])
def test_a_kidnapped_robot_is_found_again(corridor, describer, view, odometry):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view,
                     [*range(5, 20), *range(40, 58)], odometry=odometry)
    assert outcomes[14].reason is Reason.ACCEPTED
    for place, outcome in zip(range(40, 58), outcomes[15:], strict=True):
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 2.0
    assert outcomes[-1].reason is Reason.ACCEPTED


@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.parametrize('apart', [1, 4])
def test_who_comes_to_the_map_after_long_is_found(corridor, describer, view, odometry, apart):
    """Also where no place looks like the next one, so each has one look to be known by."""
    sparse = part(corridor, range(0, 60, apart), poses=corridor.poses[:len(range(0, 60, apart))])
    outcomes = drive(Localizer(CONFIG, sparse, describer), view,
                     [*range(500, 620, apart), *range(0, 60, apart)], odometry=odometry)
    away = len(range(500, 620, apart))
    assert Reason.ACCEPTED not in reasons(outcomes[:away])
    assert Reason.ACCEPTED in reasons(outcomes[away:away + 10])


def test_driving_backwards_with_odometry_is_followed(corridor, describer, view):
    """The camera still looks ahead, so the views are those of the map."""
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(45, 15, -1), pace=-1.0)
    assert reasons(outcomes[-10:]) == [Reason.ACCEPTED] * 10
    assert outcomes[-1].accepted.pose[0] == pytest.approx(16.0, abs=1.0)
    assert se3.yaw_rad(outcomes[-1].accepted.pose) == pytest.approx(0.0, abs=0.1)


def test_a_loop_driven_again_and_again_is_followed(corridor, describer, view):
    angle = np.arange(60) * 2 * np.pi / 60
    ring = replace(corridor, poses=np.stack([
        se3.from_xy_yaw(9.5 * np.cos(a), 9.5 * np.sin(a), a + np.pi / 2) for a in angle]))
    localizer = Localizer(CONFIG, ring, describer)
    for i in range(150):
        # Where the recording ends it has come to its beginning, whose look is another one.
        outcome = localizer.localize(view(i % 60, float(i)), lambda _, i=i: ring.poses[i % 60])
        if i > 5 and i % 60 > 3:
            assert outcome.reason is Reason.ACCEPTED
        if outcome.accepted:
            assert se3.distance_m(outcome.accepted.pose, ring.poses[i % 60]) < 1.5


@pytest.mark.parametrize('odometry', [True, False])
def test_another_season_on_the_whole_drive_is_seen_through(corridor, describer, view, odometry):
    """All views are shifted by one vector, stronger than what tells the places apart."""
    winter = 1.5 * np.random.default_rng(99).normal(size=256).astype(np.float32) / 16.0
    summer = describer.describe

    def in_winter(images):
        rows = summer(images) + winter
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    describer.describe = in_winter
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(5, 50),
                     odometry=odometry)
    assert reasons(outcomes[-20:]) == [Reason.ACCEPTED] * 20
    for place, outcome in zip(range(5, 50), outcomes, strict=True):
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 2.0


# -- Keeping silent -------------------------------------------------------------------------------

@pytest.mark.parametrize('noise', [0.0, 0.2])
@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.parametrize('place', [20, 500.3])
def test_standing_still_confirms_nothing_wrong(corridor, describer, view, odometry, noise, place):
    """The sensor's noise is no drive; without it, nothing at all is confirmed."""
    rng = np.random.default_rng(0)
    clean = describer.describe

    def noisy(images):
        rows = clean(images) + noise * rng.normal(size=256).astype(np.float32) / 16.0
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    describer.describe = noisy
    localizer = Localizer(CONFIG, corridor, describer)
    for second in range(60):
        outcome = localizer.localize(view(place, second), *([ahead(0.0)] if odometry else []))
        if odometry or not noise:
            assert outcome.reason is not Reason.ACCEPTED
        elif outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 2.0


@pytest.mark.parametrize('odometry', [True, False])
def test_off_the_map_is_unknown(corridor, describer, view, odometry):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(500, 560),
                     odometry=odometry)
    assert not any(o.accepted for o in outcomes)
    assert set(reasons(outcomes[10:])) == {Reason.UNKNOWN}
    assert outcomes[-1].unknown_probability > 0.5


def test_leaving_the_map_ends_the_poses(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view,
                     [*range(40, 60), *range(500, 520)])
    assert outcomes[18].reason is Reason.ACCEPTED
    assert not any(o.accepted for o in outcomes[21:])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 59.0), mode=st.sampled_from(['odometry', 'silent', 'each frame']))
def test_a_constant_picture_gets_no_pose(corridor, describer, view, place, mode):
    """A camera that hangs, whatever it shows and however the robot is said to move."""
    config = EACH if mode == 'each frame' else CONFIG
    outcomes = drive(Localizer(config, corridor, describer), view, [place] * 40,
                     odometry=mode == 'odometry')
    assert not any(o.accepted for o in outcomes)


def test_a_camera_that_hangs_in_the_middle_ends_the_poses(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, [*range(5, 25), *[24] * 30])
    assert outcomes[19].reason is Reason.ACCEPTED
    for place, outcome in zip(range(25, 55), outcomes[20:], strict=True):
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 3.0
    assert not any(o.accepted for o in outcomes[-20:])


@pytest.mark.parametrize('config', [CONFIG, EACH])
@pytest.mark.parametrize('odometry', [True, False])
def test_a_map_of_identical_pictures_gives_no_pose(corridor, describer, view, config, odometry):
    same = replace(corridor, descriptors=np.tile(corridor.descriptors[3], (60, 1)))
    for seen in ([3] * 20, range(20), range(500, 520)):
        outcomes = drive(Localizer(config, same, describer), view, seen, odometry=odometry)
        assert not any(o.accepted for o in outcomes)


@pytest.mark.parametrize('config', [CONFIG, EACH])
@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.filterwarnings('error')
def test_a_map_of_one_place_gives_no_pose(corridor, describer, view, config, odometry):
    """With nothing to compare it to, a picture tells nothing."""
    for outcome in drive(Localizer(config, part(corridor, [0]), describer), view,
                         [0, 0, 1, 40, 0], odometry=odometry):
        assert outcome.reason is Reason.UNKNOWN
        assert outcome.matches[0].place == 0


@pytest.mark.filterwarnings('error')
def test_places_all_at_one_position_are_one_hypothesis(corridor, describer, view):
    spot = replace(corridor, poses=np.tile(corridor.poses[:1], (60, 1)))
    for outcome in drive(Localizer(CONFIG, spot, describer), view, range(20), odometry=False):
        assert len(outcome.hypotheses) <= 1
        for hypothesis in outcome.hypotheses:
            np.testing.assert_allclose(hypothesis.pose, corridor.poses[0], atol=1e-9)


# -- The reasons ----------------------------------------------------------------------------------

def test_accepted(corridor, describer, view):
    outcome = drive(Localizer(CONFIG, corridor, describer), view, range(10, 30))[-1]
    assert outcome.reason is Reason.ACCEPTED
    assert outcome.accepted is outcome.hypotheses[0]


def test_unknown(corridor, describer, view):
    outcome = Localizer(CONFIG, corridor, describer).localize(view(500, 0.0))
    assert outcome.reason is Reason.UNKNOWN
    assert outcome.accepted is None


def test_unconfirmed(corridor, describer, view):
    eager = replace(CONFIG, confirm_steps=1000)
    outcomes = drive(Localizer(eager, corridor, describer), view, range(10, 40))
    assert outcomes[-1].reason is Reason.UNCONFIRMED
    assert outcomes[-1].hypotheses[0].probability > 0.9


def test_weak_is_what_the_threshold_refuses(corridor, describer, view):
    strict = replace(CONFIG, accept_probability=1.0 - 1e-12)
    outcomes = drive(Localizer(strict, corridor, describer), view, range(10, 20))
    assert outcomes[-1].reason is Reason.WEAK


def test_weak_is_a_picture_that_speaks_against_what_is_believed(corridor, describer, view):
    """However sure the belief is: somebody stands in view."""
    lenient = replace(CONFIG, accept_probability=1e-9)
    outcomes = drive(Localizer(lenient, corridor, describer), view, [*range(10, 30), 500])
    assert outcomes[-2].reason is Reason.ACCEPTED
    assert outcomes[-1].reason is Reason.WEAK
    assert outcomes[-1].hypotheses[0].pose[0] == pytest.approx(30.0, abs=1.5)


@pytest.mark.parametrize('odometry', [True, False])
def test_ambiguous_are_twins_far_apart(corridor, describer, view, odometry):
    localizer = Localizer(CONFIG, twins_of(corridor), describer)
    outcomes = drive(localizer, view, range(5, 25), odometry=odometry)
    assert set(reasons(outcomes[5:])) == {Reason.AMBIGUOUS}
    first, second = outcomes[-1].hypotheses[:2]
    assert {round(first.pose[1]), round(second.pose[1])} == {0, 50}


def test_stale(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    localizer.localize(view(5, 10.0))
    outcome = localizer.localize(view(5, 9.5))
    assert outcome.reason is Reason.STALE
    assert not outcome.hypotheses
    assert not outcome.restarted


@cache
def texture_of(seed):
    """A picture with corners."""
    coarse = np.random.default_rng(seed).integers(0, 255, (30, 40, 3)).astype(np.uint8)
    return cv2.GaussianBlur(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_NEAREST),
                            (0, 0), 1.2)


@cache
def features_of(seed):
    return extract(texture_of(seed), FeatureConfig())


def textured(toy_picture, identity, texture):
    """A picture of place `identity` to the describer, and of `texture` to geometry."""
    image = texture_of(texture).copy()
    image[0, 0] = toy_picture(identity)[0, 0]
    return image


@pytest.fixture
def drive_textured(toy_picture, describer):
    """Drive through places 3 to 20 that show textures from `texture` on."""
    def run(config, place_map, textures, texture, lens=None):
        known = PackedFeatures.pack(FeatureConfig(), [features_of(seed) for seed in textures])
        localizer = Localizer(config, replace(place_map, features=known), describer)
        if lens is not None:
            localizer.set_intrinsics('camera', lens)
        return [localizer.localize(Frame(i * 10**9, 'camera',
                                         textured(toy_picture, i, texture + i)), ahead(float(i)))
                for i in range(3, 20)]
    return run


def test_unverified_is_a_view_that_only_resembles(corridor, drive_textured):
    rows = range(30)
    right, wrong = (drive_textured(ALWAYS, part(corridor, rows), rows, texture)
                    for texture in (0, 1000))
    assert set(reasons(right[3:])) == {Reason.ACCEPTED}
    assert set(reasons(wrong[3:])) == {Reason.UNVERIFIED}
    assert right[-1].signs.agreement > wrong[-1].signs.agreement


@pytest.mark.parametrize('config', [DOUBTFUL, ALWAYS])
@pytest.mark.parametrize(('texture', 'side_m'), [(0, 0.0), (100, 50.0)])
def test_geometry_tells_twins_apart(corridor, drive_textured, config, texture, side_m):
    """From the first steps on and without a break, whichever of the two it is."""
    outcomes = drive_textured(config, twins_of(corridor),
                              [*range(30), *range(100, 130)], texture)
    assert reasons(outcomes[4:]) == [Reason.ACCEPTED] * len(outcomes[4:])
    for place, outcome in zip(range(3, 20), outcomes, strict=True):
        if outcome.accepted:
            np.testing.assert_allclose(outcome.accepted.pose[:2], [place, side_m], atol=1.0)


@pytest.mark.parametrize('config', [DOUBTFUL, ALWAYS])
def test_twins_that_geometry_cannot_tell_apart_stay_ambiguous(corridor, drive_textured, config):
    for texture, textures in ((1000, [*range(30), *range(100, 130)]), (0, [*range(30)] * 2)):
        outcomes = drive_textured(config, twins_of(corridor), textures, texture)
        assert set(reasons(outcomes[4:])) == {Reason.AMBIGUOUS}


def test_verify_ambiguous_asks_only_in_doubt(corridor, drive_textured):
    rows = range(30)
    outcomes = drive_textured(DOUBTFUL, part(corridor, rows), rows, 1000)
    assert reasons(outcomes[3:]) == [Reason.ACCEPTED] * len(outcomes[3:])


def test_a_lens_lets_the_heading_be_measured(corridor, drive_textured):
    """A place that was stored with a heading; the view says that the robot has the same."""
    camera = replace(corridor.cameras[0], intrinsics=LENS)
    rows = range(30)
    measured, plain = (drive_textured(ALWAYS, part(corridor, rows, cameras=(camera,)), rows, 0,
                                      lens)[-1] for lens in (LENS, replace(LENS, height=999)))
    assert measured.reason is plain.reason is Reason.ACCEPTED
    assert measured.accepted.covariance[5, 5] < plain.accepted.covariance[5, 5]
    assert se3.yaw_rad(measured.accepted.pose) == pytest.approx(0.0, abs=0.05)
    assert np.linalg.eigvalsh(measured.accepted.covariance).min() > 0.0


def test_verification_without_features_is_refused(corridor, describer):
    with pytest.raises(MapError, match=r'no local features.*--features'):
        Localizer(ALWAYS, corridor, describer)
    localizer = Localizer(CONFIG, corridor, describer)
    with pytest.raises(MapError, match=r'no local features.*--features'):
        localizer.reconfigure(ALWAYS)


# -- Odometry and time ----------------------------------------------------------------------------

BROKEN = [np.full(7, np.nan), np.zeros(7), np.array([np.inf, 0, 0, 0, 0, 0, 1.0]),
          np.array([0.0, 0, 0, 0, 0, 0, 0.5]), np.zeros(3)]


@pytest.mark.parametrize('broken', BROKEN, ids=str)
@pytest.mark.parametrize('when', ['first', 'now and then', 'always'])
def test_broken_odometry_is_taken_for_silence(corridor, describer, view, broken, when):
    localizer, silent = (Localizer(CONFIG, corridor, describer) for _ in range(2))
    told, heard = [], []
    for i in range(30):
        gone = {'first': i == 0, 'now and then': i % 5 == 2, 'always': True}[when]
        told.append(localizer.localize(view(10 + i, i),
                                       (lambda _: broken) if gone else ahead(float(i))))
        heard.append(silent.localize(view(10 + i, i), *([] if gone else [ahead(float(i))])))
    assert_same(told, heard)
    assert told[-1].reason is Reason.ACCEPTED


@pytest.mark.parametrize('jump_m', [1000.0, -1000.0, 1e9])
def test_an_absurd_jump_of_odometry_is_survived(corridor, describer, view, jump_m):
    """Nothing wrong is accepted after it, and the place is found again."""
    localizer = Localizer(CONFIG, corridor, describer)
    for i in range(45):
        x_m = i + (jump_m if i >= 20 else 0.0)
        outcome = localizer.localize(view(10 + i, i), ahead(x_m))
        assert np.isfinite(outcome.unknown_probability)
        if i == 20:
            assert max(localizer.place_probabilities(outcome)) < 0.9
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - 10 - i) < 2.0
    assert outcome.reason is Reason.ACCEPTED


def test_odometry_that_jumps_all_the_time_does_no_worse_than_silence(corridor, describer, view):
    rng = np.random.default_rng(0)
    localizer = Localizer(CONFIG, corridor, describer)
    for i in range(45):
        outcome = localizer.localize(view(10 + i, i), ahead(float(rng.normal(0, 1000))))
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - 10 - i) < 2.0


@pytest.mark.parametrize('odometry', [True, False])
def test_a_long_dropout_of_pictures_is_bridged(corridor, describer, view, odometry):
    """Half a minute without pictures; the robot drove on."""
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 20), odometry=odometry)
    found = []
    for i in range(12):
        outcome = localizer.localize(view(45 + i, 40.0 + i),
                                     *([ahead(40.0 + i)] if odometry else []))
        found.append(outcome.reason)
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - 45 - i) < 2.0
    assert found[-1] is Reason.ACCEPTED
    assert not odometry or Reason.ACCEPTED in found[:3]


def test_a_bag_that_starts_over_resets_once(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 25), start_s=100.0)
    again = drive(localizer, view, range(5, 25), start_s=0.0)
    assert [o.restarted for o in again] == [True] + [False] * 19
    fresh = drive(Localizer(CONFIG, corridor, describer), view, range(5, 25), start_s=0.0)
    assert_same(again, fresh)
    assert again[-1].reason is Reason.ACCEPTED


def test_reset_forgets_everything(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 25))
    localizer.reset()
    again = drive(localizer, view, range(30, 50))
    assert_same(again, drive(Localizer(CONFIG, corridor, describer), view, range(30, 50)))


# -- Properties -----------------------------------------------------------------------------------

@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), odometry=st.booleans())
def test_the_order_of_places_does_not_matter(corridor, describer, view, seed, odometry):
    order = np.random.default_rng(seed).permutation(60)
    a, b = (drive(Localizer(CONFIG, place_map, describer), view, range(10, 30), odometry=odometry)
            for place_map in (corridor, part(corridor, order)))
    assert_same(a, b, exactly=False)
    for one, other in zip(a, b, strict=True):
        assert one.matches[0].place == order[other.matches[0].place]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(st.tuples(st.floats(-20.0, 700.0), st.floats(-5.0, 5.0)), min_size=1,
                     max_size=20), odometry=st.booleans(), each=st.booleans())
def test_whatever_is_seen_the_outcome_is_sound(corridor, describer, view, seen, odometry, each):
    localizer = Localizer(EACH if each else CONFIG, corridor, describer)
    x_m = 0.0
    for second, (place, step_m) in enumerate(seen):
        x_m += step_m
        outcome = localizer.localize(view(abs(place), second), *([ahead(x_m)] if odometry else []))
        assert 0.0 < outcome.unknown_probability < 1.0
        assert sum(h.probability for h in outcome.hypotheses) <= 1.0 + 1e-6
        for hypothesis in outcome.hypotheses:
            assert 0.0 <= hypothesis.probability <= 1.0
            np.testing.assert_allclose(hypothesis.covariance, hypothesis.covariance.T, atol=1e-12)
            assert np.linalg.eigvalsh(hypothesis.covariance).min() > 0.0
            assert np.linalg.norm(hypothesis.pose[3:]) == pytest.approx(1.0)


@pytest.mark.parametrize('odometry', [True, False])
def test_equal_frames_give_equal_outcomes(corridor, describer, view, odometry):
    """Bit for bit."""
    a, b = (drive(Localizer(CONFIG, corridor, describer), view, range(5, 30), odometry=odometry)
            for _ in range(2))
    assert_same(a, b)
    assert [o.matches for o in a] == [o.matches for o in b]
    assert [o.signs for o in a] == [o.signs for o in b]


# -- Cameras --------------------------------------------------------------------------------------

def rear_of(corridor, ahead_m=0.0):
    mount = corridor.cameras[0].base_from_camera
    return Camera('rear', se3.compose(se3.from_xy_yaw(ahead_m, 0.0, np.pi), mount))


@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.parametrize('step_m', [0.5, 1.0])
@pytest.mark.parametrize('ahead_m', [0.0, -0.3])
def test_a_rear_camera_covers_the_way_back(corridor, describer, view, odometry, step_m, ahead_m):
    """Driving the other way, only the rear camera knows the views; the front one is no bar.

    Wherever it is mounted: that it sees the places from elsewhere makes the map no denser.
    """
    rear = rear_of(corridor, ahead_m)
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear])
    found = 0
    for i, place in enumerate(np.arange(50.0, 15.0, -step_m)):
        told = [ahead(step_m * i)] if odometry else []
        front = localizer.localize(view(1000 + place, i, 'camera'), *told)
        rear_view = localizer.localize(view(place, i + 0.1, 'rear'), *told)
        found += rear_view.accepted is not None
        for pose in (o.accepted.pose for o in (front, rear_view) if o.accepted):
            assert abs(se3.yaw_rad(pose)) == pytest.approx(np.pi, abs=0.1)
            seen_from = se3.compose(pose, rear.base_from_camera)
            assert seen_from[0] == pytest.approx(place + 0.2, abs=1.5)
    assert found > 0.8 * len(np.arange(50.0, 15.0, -step_m))


@pytest.mark.parametrize('step_m', [0.5, 1.0])
def test_the_front_camera_finds_its_way_with_a_rear_one_beside(corridor, describer, view, step_m):
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear_of(corridor, -0.3)])
    for i, place in enumerate(np.arange(10.0, 40.0, step_m)):
        outcome = localizer.localize(view(place, i, 'camera'), ahead(step_m * i))
        localizer.localize(view(2000 + place, i + 0.1, 'rear'), ahead(step_m * i))
    assert outcome.reason is Reason.ACCEPTED
    assert outcome.accepted.pose[0] == pytest.approx(place, abs=1.0)


def test_without_a_rear_camera_the_way_back_is_unknown(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(1050, 1010, -1))
    assert not any(o.accepted for o in outcomes)


def test_two_cameras_that_stand_still_take_no_step(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear_of(corridor)])
    unknown = [localizer.localize(view(place, i, camera)).unknown_probability
               for i in range(40) for camera, place in (('camera', 20), ('rear', 40))]
    assert np.ptp(unknown[2:]) < 0.2


@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.parametrize(('front', 'side'), [(10, 40), (5, 30), (30, 8)])
@pytest.mark.parametrize('late_s', [0.0, 0.05])
def test_cameras_that_disagree_are_not_believed(corridor, describer, view, odometry, front, side,
                                                late_s):
    """Two cameras that look alike ahead; one sees one place, the other one far away."""
    other = Camera('side', corridor.cameras[0].base_from_camera)
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), other])
    for i in range(20):
        told = [ahead(float(i))] if odometry else []
        assert not localizer.localize(view(front + i, i, 'camera'), *told).accepted
        assert not localizer.localize(view(side + i, i + late_s, 'side'), *told).accepted


def test_each_camera_has_a_season_of_its_own(corridor, describer, view):
    """The one that is never first to see a step learns its mean all the same."""
    winter = 1.5 * np.random.default_rng(99).normal(size=256).astype(np.float32) / 16.0
    summer = describer.describe

    def half_in_winter(images):
        rows = summer(images) + winter * (images[0][0, 1, 0] == 1)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    describer.describe = half_in_winter
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear_of(corridor)])
    fits = []
    for i, place in enumerate(range(50, 10, -1)):
        localizer.localize(view(1000 + place, i, 'camera'), ahead(float(i)))
        frame = view(place, i + 0.1, 'rear')
        frame.image[0, 1, 0] = 1
        outcome = localizer.localize(frame, ahead(float(i)))
        fits.append(outcome.signs.support if outcome.signs else 0.0)
    assert outcome.reason is Reason.ACCEPTED
    assert fits[-1] > 0.25


def test_an_unknown_camera_is_refused(corridor, describer, view):
    with pytest.raises(MapError, match='camera rear is not among those of the map'):
        Localizer(CONFIG, corridor, describer, [Camera('rear')])
    with pytest.raises(MapError, match='no camera rear here'):
        Localizer(CONFIG, corridor, describer).localize(view(1, 0.0, camera='rear'))


def test_a_map_of_another_model_is_refused(corridor, describer):
    describer.card = replace(describer.card, name='other', digest='0' * 64)
    with pytest.raises(MapError, match='built by model toy .* not by other'):
        Localizer(CONFIG, corridor, describer)


# -- Knobs and calibration ------------------------------------------------------------------------

@pytest.mark.parametrize(('live', 'reason'), [
    ({'confirm_steps': 1000}, Reason.UNCONFIRMED),
    ({'accept_probability': 1.0 - 1e-12}, Reason.WEAK),
    ({'cluster': ClusterConfig(cluster_m=2.0)}, Reason.ACCEPTED),
    ({'top_k': 1}, Reason.ACCEPTED)])
def test_thresholds_change_on_the_fly(corridor, describer, view, live, reason):
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 15))
    localizer.reconfigure(replace(CONFIG, **live))
    outcome = localizer.localize(view(15, 10.0), ahead(10.0))
    assert outcome.reason is reason
    assert len(outcome.matches) == live.get('top_k', min(CONFIG.top_k, 60))
    localizer.reconfigure(CONFIG)
    assert localizer.localize(view(16, 11.0), ahead(11.0)).reason is Reason.ACCEPTED


def test_ambiguous_probability_changes_on_the_fly(corridor, describer, view):
    """What is a rival is a question of taste: the belief is the same."""
    strict, lax = (replace(CONFIG, ambiguous_probability=p) for p in (1e-6, 0.49))
    localizer = Localizer(lax, corridor, describer)
    drive(localizer, view, [10, 11])
    outcome = localizer.localize(view(30, 2.0), ahead(2.0))
    localizer.reconfigure(strict)
    again = localizer.localize(view(30, 2.0), ahead(2.0))
    assert outcome.unknown_probability == pytest.approx(again.unknown_probability)
    assert len(again.hypotheses) > 1
    assert outcome.reason is not Reason.AMBIGUOUS
    assert again.reason is Reason.AMBIGUOUS


@pytest.mark.parametrize('frozen', [
    {'belief': BeliefConfig(max_speed_mps=9.0)}, {'evidence': EvidenceConfig(doubt=0.7)},
    {'step_each_frame': True}])
def test_what_the_belief_is_made_of_does_not_change_on_the_fly(corridor, describer, view, frozen):
    localizer = Localizer(CONFIG, corridor, describer)
    outcomes = drive(localizer, view, range(5, 15))
    with pytest.raises(MapError, match='loaded again'):
        localizer.reconfigure(replace(CONFIG, confirm_steps=1000, **frozen))
    assert outcomes[-1].reason is Reason.ACCEPTED   # and nothing else was taken over
    assert localizer.localize(view(15, 10.0), ahead(10.0)).reason is Reason.ACCEPTED


@pytest.mark.parametrize(('wrong', 'words'), [
    ({'top_k': 0}, 'top_k'), ({'confirm_steps': -1}, 'confirm_steps'),
    ({'accept_probability': 1.0}, 'accept_probability'),
    ({'accept_probability': -0.1}, 'accept_probability'),
    ({'ambiguous_probability': 0.7}, 'ambiguous_probability'),
    ({'ambiguous_probability': 0.0}, 'ambiguous_probability')])
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(MapError, match=words):
        LocalizerConfig(**wrong)


def test_a_calibration_says_how_probable_a_pose_is(corridor, describer, view):
    for stored, reason, probability in ((SURE, Reason.ACCEPTED, 1.0), (NEVER, Reason.WEAK, 0.0)):
        localizer = Localizer(CONFIG, replace(corridor, calibration=stored), describer)
        assert localizer.calibration == stored
        assert localizer.threshold == stored.threshold
        outcome = drive(localizer, view, range(10, 25))[-1]
        assert outcome.reason is reason
        assert outcome.hypotheses[0].probability == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize('other', [
    {'evidence': EvidenceConfig(doubt=0.7)}, {'belief': BeliefConfig(memory_steps=20.0)},
    {'cluster': ClusterConfig(cluster_m=1.0)}, {'step_each_frame': True}])
def test_a_calibration_holds_only_for_the_settings_it_was_measured_with(corridor, describer,
                                                                        view, other):
    localizer = Localizer(replace(CONFIG, **other), replace(corridor, calibration=NEVER),
                          describer)
    assert localizer.calibration is None
    assert localizer.threshold == Calibration().threshold
    assert drive(localizer, view, range(10, 25))[-1].hypotheses[0].probability > 0.5


def test_a_live_knob_may_end_and_renew_the_calibration(corridor, describer):
    localizer = Localizer(CONFIG, replace(corridor, calibration=NEVER), describer)
    localizer.reconfigure(replace(CONFIG, cluster=ClusterConfig(cluster_m=1.0)))
    assert localizer.calibration is None
    localizer.reconfigure(replace(CONFIG, confirm_steps=7, top_k=3))   # not of the measure
    assert localizer.calibration == NEVER


def test_a_threshold_of_ones_own_overrules_the_calibrated_one(corridor, describer, view):
    own = replace(CONFIG, accept_probability=1e-12)
    localizer = Localizer(own, replace(corridor, calibration=NEVER), describer)
    assert localizer.threshold == 1e-12
    assert drive(localizer, view, range(10, 25))[-1].reason is Reason.ACCEPTED


def test_a_second_camera_may_come_a_little_late(corridor, describer, view):
    """Each camera goes forwards for itself; only of one and the same is an older picture stale."""
    rear = rear_of(corridor)
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear])
    localizer.localize(view(20, 10.0, 'camera'))
    assert localizer.localize(view(20, 9.95, 'rear')).reason is not Reason.STALE
    assert localizer.localize(view(20, 9.95, 'camera')).reason is Reason.STALE


def test_geometry_says_nothing_of_what_a_camera_cannot_see(corridor, describer, view):
    """The views that a front camera has are not compared with what stands behind the robot."""
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear_of(corridor)])
    localizer.localize(view(20, 0.0, 'camera'))
    backwards = localizer._viewpoints.state_of['rear'][:3]
    cluster = Cluster(backwards, se3.IDENTITY, np.eye(6), 0.9)
    nothing = np.zeros(len(localizer._viewpoints.poses))
    assert localizer._place_of('camera', cluster, nothing) is None
    assert localizer._place_of('rear', cluster, nothing) in (0, 1, 2)
