# SPDX-License-Identifier: Apache-2.0
"""The dense network with a smaller map: small cases that can be checked by hand."""

from dataclasses import replace

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import prune_controls, prune_int8_control  # noqa: E402
from vpr_ros.compress.finetune_data import Pictures  # noqa: E402
from vpr_ros.compress.prune_controls import (  # noqa: E402
    controls_of,
    DENSE,
    Form,
    forms_for,
    PCA,
    PQ,
    read_controls,
    TABLE,
    TRUNCATION,
)
from vpr_ros.compress.prune_judge import Judge  # noqa: E402
from vpr_ros.compress.prune_points import Point, Recalled, Speed  # noqa: E402
from vpr_ros.compress.reduced_descriptors import (  # noqa: E402
    Principal,
    ProductQuantizer,
    truncated,
    unit,
)
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.core.precision import Precision  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402
from vpr_ros.nets.network import build_network  # noqa: E402

FLOAT32, FLOAT16, INT8 = Precision
DIM = 64


def rows(count, dim=DIM, seed=0):
    return unit(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def point(dim=DIM, model_bytes=1_000_000, step=1):
    recalled = Recalled('yard', True, 16, 0.75, 0.9, None, '5 m')
    speed = Speed('onnxruntime fp32', 2.0, 4.0, 0.5, 1.0, 10_000)
    return Point(step, 0.1 * step, 1.0, 1000, dim, model_bytes, 10_000 * dim * 4, None,
                 (recalled,), speed, {}, '')


DENSE_POINT = point(step=0)


def test_truncation_is_a_cut_and_unit_length():
    np.testing.assert_allclose(truncated(np.float32([[3, 4, 12], [1, 0, 0]]), 2),
                               [[0.6, 0.8], [1, 0]], atol=1e-7)


def test_what_was_zero_stays_so():
    assert not truncated(np.float32([[0, 0, 1]]), 2).any()


@settings(max_examples=20, deadline=None)
@given(count=st.integers(12, 40), dim=st.integers(2, 12), seed=st.integers(0, 99))
def test_all_axes_change_no_similarity(count, dim, seed):
    known, asked = rows(count, dim, seed), rows(5, dim, seed + 1)
    principal = Principal.of(known)
    assert principal.most == dim
    full = principal.reduced(asked, dim) @ principal.reduced(known, dim).T
    np.testing.assert_allclose(full, asked @ known.T, atol=1e-5)


def test_axes_are_the_directions_in_which_rows_lie():
    # in a plane of eight dimensions, mostly along (1, 1, 0, ...)
    plane = np.zeros((2, 8), np.float32)
    plane[0, :2], plane[1, 2] = np.sqrt(0.5), 1.0
    angle = np.random.default_rng(0).uniform(-0.4, 0.4, 30)
    known = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32) @ plane
    for many in (known, known[:5]):    # more and fewer rows than numbers
        axes = Principal.of(many).axes
        np.testing.assert_allclose(abs(axes[:, 0] @ plane[0]), 1.0, atol=0.02)
        np.testing.assert_allclose(Principal.of(many).reduced(many, 2)
                                   @ Principal.of(many).reduced(many, 2).T, many @ many.T,
                                   atol=1e-5)


def test_axes_of_few_rows_are_few():
    principal = Principal.of(rows(5))
    assert principal.most == 5
    np.testing.assert_allclose(principal.axes.T @ principal.axes, np.eye(5), atol=1e-4)
    with pytest.raises(ModelError, match='5 principal axes cannot give 6 numbers'):
        principal.reduced(rows(2), 6)


def test_a_piece_of_which_there_are_few_kinds_is_kept_exactly():
    kinds = rows(7, 8)
    many = kinds[np.random.default_rng(1).integers(0, 7, 200)]
    quantizer = ProductQuantizer.of(many, 2)
    codes = quantizer.encoded(many)
    assert (codes.shape, codes.dtype) == ((200, 2), np.uint8)
    np.testing.assert_allclose(quantizer.decoded(codes), many, atol=1e-6)


def test_more_bytes_are_nearer():
    known = rows(600)
    errors = []
    for parts in (4, 16, 32):
        quantizer = ProductQuantizer.of(known, parts)
        assert quantizer.nbytes == 256 * DIM * 4
        errors.append(np.square(quantizer.decoded(quantizer.encoded(known)) - known).mean())
    assert errors[0] > errors[1] > errors[2]


def test_parts_must_divide():
    with pytest.raises(ModelError, match='64 numbers cannot be cut into 7 equal parts'):
        ProductQuantizer.of(rows(20), 7)


def test_forms_are_those_of_the_points_and_of_fewer_bits():
    forms = forms_for([DENSE_POINT, point(48), point(40)], 10_000, FLOAT32)
    assert [(form.dim, form.precision) for form in forms if form.kind == DENSE] == [
        (64, FLOAT16), (64, INT8)]
    assert [form.dim for form in forms if form.kind == TRUNCATION] == [48, 40, 32, 16, 8]
    assert {(form.dim, form.precision) for form in forms if form.kind == PCA} == {
        (dim, precision) for dim in (48, 40, 32, 16, 8) for precision in Precision}
    assert len({form.label for form in forms}) == len(forms)


def test_bits_that_a_run_has_saved_itself_are_no_control():
    forms = forms_for([DENSE_POINT], 10_000, INT8)
    assert not [form for form in forms if form.kind == DENSE]
    assert {form.precision for form in forms} == {INT8}


def test_bytes_of_pq_make_a_map_as_large_as_a_point_has_it():
    # 10 000 x 64 x 4 less than dense by 20 bytes of 256 each, and by the network itself
    points = [DENSE_POINT, point(model_bytes=1_000_000 - 2_200_000)]
    forms = [form for form in forms_for(points, 10_000, FLOAT32) if form.kind == PQ]
    # room: 2 560 000 - 2 200 000 - 256 x 64 x 4 = 294 464, of 10 000 places
    assert [form.parts for form in forms] == [16]
    points = [DENSE_POINT, point(model_bytes=1_000_000 - 2_400_000)]
    forms = [form for form in forms_for(points, 10_000, FLOAT32) if form.kind == PQ]
    assert [form.parts for form in forms] == [16, 8]
    made = forms[1]
    assert (made.label, made.map_bytes(10_000)) == ('map in 8 bytes a place (PQ)', 80_000)


@pytest.mark.parametrize(('form', 'bytes_', 'extra'), [
    (Form(DENSE, 64, FLOAT16), 1_280_000, 0), (Form(TRUNCATION, 16, FLOAT32), 640_000, 0),
    (Form(PCA, 16, INT8), 160_000, 64 * 16), (Form(PQ, 64, FLOAT32, 8), 80_000, 256 * 64)])
def test_memory(form, bytes_, extra):
    assert (form.map_bytes(10_000), form.extra(64)) == (bytes_, extra)


def test_labels():
    assert [Form(*args).label for args in (
        (DENSE, 64, INT8), (PCA, 16, FLOAT32), (PCA, 16, INT8), (TRUNCATION, 8, FLOAT32))] == [
        'int8 map', 'PCA to 16', 'PCA to 16, int8 map', 'first 8 numbers']


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a tiny network of 64 numbers."""
    folder = tmp_path_factory.mktemp('dense') / 'model'
    torch.manual_seed(0)
    head = {'channels': 16, 'grid': 2}
    network = build_network('mobilenet_v2', 'features.4', 'convap', head, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         head, Preprocessing(32, 32), 'Apache-2.0'))
    return folder


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(12)]


@pytest.fixture
def few(monkeypatch):
    """Find axes on 70 views, and time once."""
    monkeypatch.setattr(prune_controls, '_FEWEST_FITTED', 70)
    monkeypatch.setattr(prune_controls, '_MOST_FITTED', 70)
    monkeypatch.setattr(prune_controls, '_ROUNDS', 1)


def test_controls_of_a_run(parent, pictures, few, tmp_path):
    said = []
    judge = Judge([self_labelled(pictures[:8])])
    points = [replace(DENSE_POINT, map_bytes=100 * DIM * 4), point(48)]
    made = controls_of(parent, Pictures(pictures), judge, points, 100, FLOAT32, tmp_path,
                       say=said.append)
    by = {control.label: control for control in made}
    assert {'float16 map', 'int8 map', 'PCA to 48', 'PCA to 48, int8 map', 'first 48 numbers',
            'PCA to 8, float16 map'} < set(by)
    assert by['PCA to 48'].total_bytes == 1_000_000 + 64 * 48 * 4 + 100 * 48 * 4
    assert by['int8 map'].map_bytes == 6400
    assert all(control.recalls[0].on_parents_map_at_1 is None for control in made)
    pq = by['map in 16 bytes a place (PQ)']
    assert (pq.speed, pq.bits, pq.dim) == (None, 2.0, 64)
    # the network is the dense one, whatever becomes of its descriptors
    assert by['int8 map'].speed.describe_ms == by['int8 map'].speed.parent_describe_ms == 4.0
    assert len((tmp_path / TABLE).read_text().splitlines()) == 1 + len(made)
    assert read_controls(tmp_path)[0] == made
    assert any('70 pictures' in line for line in said)

    said.clear()
    again = controls_of(parent, Pictures(pictures), judge, points, 100, FLOAT32, tmp_path,
                        say=said.append)
    assert (again, said) == (made, [])   # nothing was described anew
    other = controls_of(parent, Pictures(pictures), judge, [*points, point(40)], 100, FLOAT32,
                        tmp_path, say=said.append)
    assert 'PCA to 40' in {control.label for control in other}


def test_further_controls_stand_beside(parent, pictures, few, tmp_path):
    judge = Judge([self_labelled(pictures[:8])])
    extra = []

    def more():
        found, _ = read_controls(tmp_path)
        extra.append(replace(found[0], label='int8 network'))
        return extra
    arguments = parent, Pictures(pictures), judge, [DENSE_POINT], 100, FLOAT32, tmp_path
    controls_of(*arguments, say=lambda _: None)
    made = controls_of(*arguments, more=more, say=lambda _: None)
    assert made[-1] == extra[0]


def test_no_table_of_controls(tmp_path):
    with pytest.raises(ModelError, match=r'controls\.json is no table of controls'):
        read_controls(tmp_path)


def test_the_dense_network_in_int8(pictures, tmp_path, monkeypatch):
    class Network:
        """Gives the mean colors, and in int8 nearly the same."""

        def describe(self, images):
            return unit(np.float32([np.mean(image, axis=(0, 1)) for image in images]))

    def make(parent, images, pair, out, **how):
        assert how['form'] == 'onnxruntime'
        out.mkdir()
        (out / 'model.int8.onnx').write_bytes(bytes(321))

    class Card:
        preprocessing = Preprocessing(32, 32)
    for name, stand_in in (('quantize', make), ('load_describer', lambda *_: Network()),
                           ('read_card', lambda _: Card)):
        monkeypatch.setattr(prune_int8_control, name, stand_in)
    judge = Judge([self_labelled(pictures[:8])])
    plain, both = prune_int8_control.int8_controls(
        tmp_path, Pictures(pictures), judge, replace(DENSE_POINT, dim=3), 100, FLOAT32,
        lambda _: None)
    assert [(each.label, each.total_bytes) for each in (plain, both)] == [
        ('int8 network', 321 + 100 * 3 * 4), ('int8 network, int8 map', 321 + 100 * 3)]
    assert plain.speed.engine == 'onnxruntime int8'
    [again] = prune_int8_control.int8_controls(
        tmp_path, Pictures(pictures), judge, replace(DENSE_POINT, dim=3, speed=None), 100, INT8,
        lambda _: None)
    assert (again.label, again.speed) == ('int8 network, int8 map', None)
