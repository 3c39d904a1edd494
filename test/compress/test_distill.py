# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.distill import CHECKPOINT, disagreement, distill, rate  # noqa: E402
from vpr_ros.compress.distill_config import DistillConfig  # noqa: E402
from vpr_ros.compress.distill_student import as_network, Student  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402

TINY = DistillConfig(width_mult=0.125, channels=4, grid=2, input_px=64, size_px=32,
                     share_small=0.5, rounds=3, views=8, reuse=1, batch=8, world_frames=0)
CHANNELS = 12


class KilledError(Exception):
    pass


def random_teacher():
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Conv2d(3, CHANNELS, 32, stride=32), torch.nn.Tanh())


@pytest.fixture(scope='module')
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope='module')
def uninterrupted(images, tmp_path_factory):
    return distill(TINY, random_teacher(), images, tmp_path_factory.mktemp('whole'), seed=1,
                   say=lambda _: None)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(),
                                                 strict=True))


def test_a_killed_run_goes_on_to_the_same_weights(images, tmp_path, uninterrupted):
    said = []

    def kill_after_round_one(line):
        said.append(line)
        raise KilledError
    with pytest.raises(KilledError):
        distill(TINY, random_teacher(), images, tmp_path, 1, kill_after_round_one)
    assert said[0].startswith('round 1/3  32 px  loss')
    again = distill(TINY, random_teacher(), images, tmp_path, 1, said.append)
    assert said[1] == 'going on after round 1'
    assert said[-1].startswith('round 3/3  64 px  loss')
    assert again.steps == uninterrupted.steps == 3
    assert same(again.student, uninterrupted.student)


def test_a_finished_run_is_only_read(images, tmp_path):
    short = replace(TINY, rounds=1)
    first = distill(short, random_teacher(), images, tmp_path, 1, lambda _: None)
    stamp = (tmp_path / CHECKPOINT).stat().st_mtime_ns
    again = distill(short, random_teacher(), images, tmp_path, 1, lambda _: None)
    assert same(first.student, again.student)
    assert (tmp_path / CHECKPOINT).stat().st_mtime_ns == stamp
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT]


def test_another_seed_gives_another_student(images, tmp_path, uninterrupted):
    other = distill(TINY, random_teacher(), images, tmp_path, 2, lambda _: None)
    assert not same(other.student, uninterrupted.student)


@pytest.mark.parametrize('harm', ['cut', 'other'])
def test_a_checkpoint_that_does_not_fit_is_refused(images, tmp_path, harm):
    distill(replace(TINY, rounds=1), random_teacher(), images, tmp_path, 1, lambda _: None)
    config = TINY
    if harm == 'cut':
        file = tmp_path / CHECKPOINT
        file.write_bytes(file.read_bytes()[:5000])
    else:
        config = replace(TINY, width_mult=0.25)
    with pytest.raises(ModelError, match='damaged or of another student'):
        distill(config, random_teacher(), images, tmp_path, 1, lambda _: None)


def test_a_student_learns(images, tmp_path):
    losses = []
    for reuse in (1, 30):  # the loss is the mean over all steps
        distill(replace(TINY, rounds=1, reuse=reuse), random_teacher(), images,
                tmp_path / str(reuse), 1,
                lambda line: losses.append(float(line.split('loss ')[1].split()[0])))
    assert losses[1] < 0.6 * losses[0]


def test_a_network_says_what_its_student_said(uninterrupted):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for unit in (True, False):
        network = as_network(uninterrupted.student, replace(TINY, unit_positions=unit))
        with torch.no_grad():
            kept = uninterrupted.student(x)[:, :4]
            kept = torch.nn.functional.normalize(kept, dim=1) if unit else kept
            wanted = torch.nn.functional.normalize(
                torch.nn.functional.adaptive_avg_pool2d(kept, 2).flatten(1), dim=1)
            torch.testing.assert_close(network(x), wanted, atol=1e-5, rtol=1e-4)


def test_the_average_follows_slowly():
    torch.manual_seed(0)
    slow, fast = Student(TINY, CHANNELS), Student(TINY, CHANNELS)
    before, target = slow.project.weight.clone(), fast.project.weight
    slow.follow(fast, 0.75)
    torch.testing.assert_close(slow.project.weight, 0.75 * before + 0.25 * target)
    slow.follow(fast, 0.0)
    assert same(slow, fast)


def test_disagreement_is_nothing_for_equals_and_most_for_opposites():
    target = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    assert float(disagreement(target, target, 2)) == pytest.approx(0.0, abs=1e-5)
    assert float(disagreement(3.0 * target, target, 2)) == pytest.approx(0.0, abs=1e-5)
    assert float(disagreement(-target, target, 2)) == pytest.approx(8.0, abs=1e-4)
    louder = target.clone()
    louder[:, :, 0] *= 5.0  # the same directions, other strengths: only the whole map differs
    assert 0.01 < float(disagreement(louder, target, 2)) < 4.0


def test_the_rate_warms_up_and_ends_at_nothing():
    assert rate(0.0, 0.1) < 0.02
    assert rate(0.1, 0.1) == pytest.approx(1.0)
    assert rate(1.0, 0.1) == pytest.approx(0.0)
    steps = [rate(p, 0.1) for p in np.linspace(0.1, 1.0, 50)]
    assert steps == sorted(steps, reverse=True)
