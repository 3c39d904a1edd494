# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.distill_augment import make_view  # noqa: E402
from vpr_ros.compress.distill_config import DistillConfig  # noqa: E402
from vpr_ros.compress.distill_teacher import as_input, Basis, teacher_maps  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.preprocess import preprocess  # noqa: E402


@given(seed=st.integers(0, 2**32), size=st.integers(32, 100), height=st.integers(16, 80),
       width=st.integers(16, 80))
def test_a_view_is_a_picture_that_its_seed_decides(seed, size, height, width):
    images = [np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)]
    before = images[0].copy()
    one, two = (make_view(images, size, np.random.default_rng(seed)) for _ in range(2))
    assert one.shape == (size, size, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(images[0], before)


def test_views_differ():
    image = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    views = [make_view([image], 48, np.random.default_rng(i)) for i in range(20)]
    assert len({view.tobytes() for view in views}) == 20


def test_input_is_what_preprocessing_would_give():
    views = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(as_input(views), preprocess(list(views), Preprocessing(16, 16)),
                               atol=1e-5)


def test_maps_are_those_of_the_teacher_in_any_number():
    views = [np.full((8, 8, 3), i, np.uint8) for i in range(70)]
    maps = teacher_maps(torch.nn.AvgPool2d(4), views)
    assert maps.shape == (70, 3, 2, 2)
    wanted = as_input(np.stack(views)).mean((2, 3))
    torch.testing.assert_close(maps.mean((2, 3)), wanted, atol=2e-2, rtol=1e-2)  # bfloat16


def maps_of(channels=6):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(channels, channels, generator=generator)
    rows = torch.randn(50, 3, 3, channels, generator=generator) @ mixing + 2.0
    return rows.permute(0, 3, 1, 2)


@pytest.mark.parametrize('whitening', [0.0, 0.5, 1.0])
def test_a_basis_centers_and_decorrelates_strongest_first(whitening):
    maps = maps_of()
    basis = Basis.fit(maps, whitening)
    rows = basis.of(maps).permute(0, 2, 3, 1).reshape(-1, 6)
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(6), atol=1e-3, rtol=0.0)
    covariance = rows.T @ rows / len(rows)
    variances = covariance.diagonal()
    torch.testing.assert_close(covariance, variances.diag(), atol=2e-2, rtol=1e-2)
    plain = Basis.fit(maps, 0.0).of(maps).permute(0, 2, 3, 1).reshape(-1, 6).var(dim=0)
    torch.testing.assert_close(variances, plain ** (1.0 - whitening), atol=1e-2, rtol=2e-2)
    assert (variances[:-1] >= variances[1:] - 1e-2).all()


def test_a_basis_without_whitening_keeps_angles():
    maps = maps_of()
    basis = Basis.fit(maps, 0.0)
    centered = maps - basis.mean[:, None, None]
    torch.testing.assert_close(basis.of(maps).norm(dim=1), centered.norm(dim=1), atol=1e-3,
                               rtol=1e-3)


def test_the_config_beside_the_code_is_read(tmp_path):
    file = tmp_path / 'a.yaml'
    file.write_text('rounds: 3\nlearning_rate: 1\nunit_positions: false\n')
    assert DistillConfig.read(file) == DistillConfig(rounds=3, learning_rate=1,
                                                     unit_positions=False)
    file.write_text('')
    assert DistillConfig.read(file) == DistillConfig()


@pytest.mark.parametrize(('text', 'said'), [
    ('round: 3', 'unknown keys: round'), ('- 1', 'no table of keys'), ('a: [', 'cannot be read'),
    ('rounds: many', "rounds must be int, not 'many'"), ('rounds: true', 'rounds must be int'),
    ('rounds: 0', 'rounds must be at least 1'), ('channels: 100', 'above 1024 dimensions'),
    ('views: 20', 'holds no batch of 64'), ('share_small: 2.0', 'share_small must be between'),
])
def test_a_config_that_cannot_be_is_refused(tmp_path, text, said):
    (tmp_path / 'a.yaml').write_text(text)
    with pytest.raises(ModelError, match=said):
        DistillConfig.read(tmp_path / 'a.yaml')


def test_an_absent_config_is_named(tmp_path):
    with pytest.raises(ModelError, match=r'a\.yaml cannot be read'):
        DistillConfig.read(tmp_path / 'a.yaml')
