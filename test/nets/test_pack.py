# SPDX-License-Identifier: Apache-2.0
import shutil

from hypothesis import given, HealthCheck, settings, strategies as st
from hypothesis.extra import numpy as npst
import numpy as np
import pytest

from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import CARD, GRAPH, read_card, seal_model, WEIGHTS
from vpr_ros.nets.pack import pack
from vpr_ros.nets.packed_sizes import packed_bits
from vpr_ros.nets.unpack import PackedFile, unpack

onnx = pytest.importorskip('onnx')

KINDS = [np.float32, np.float16, np.float64, np.int64, np.int32, np.int8, np.uint8, bool]


def sharing(shape, levels=255, zeros=0.5, seed=0):
    """Weights as compression leaves them: a share is zero, the others have `levels` values."""
    rng = np.random.default_rng(seed)
    weights = np.rint(rng.standard_normal(shape, np.float32) * levels / 8).astype(np.float32)
    weights *= np.float32(0.013)
    weights[np.abs(weights) < np.quantile(np.abs(weights), zeros)] = 0.0
    return weights + np.float32(0.0)


def graph_of(arrays):
    """An ONNX file that holds arrays."""
    held = [onnx.numpy_helper.from_array(np.ascontiguousarray(array), f'of {name}')
            for name, array in arrays.items()]
    return onnx.helper.make_model(
        onnx.helper.make_graph([], 'g', [], [], initializer=held)).SerializeToString()


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()
            if not file.name.startswith('.')}


@pytest.fixture
def packed(folder_of_arrays, tmp_path):
    """Return a function that packs arrays, unpacks and compares, and returns the sizes."""
    def run(arrays, graph=b'no graph', **more):
        folder, file = tmp_path / 'model', tmp_path / 'model.vprz'
        folder_of_arrays(folder, arrays, graph, **more)
        sizes = pack(folder, file)
        assert sizes.file_bytes == file.stat().st_size
        unpack(file, tmp_path / 'back')
        assert contents(tmp_path / 'back') == contents(folder)
        return sizes
    return run


def test_a_model_comes_back_byte_for_byte(model_folder, tmp_path):
    sizes = pack(model_folder, tmp_path / 'small.vprz')
    assert unpack(tmp_path / 'small.vprz', tmp_path / 'back') == read_card(model_folder)
    assert contents(tmp_path / 'back') == contents(model_folder)
    assert sizes.folder_bytes == sum(map(len, contents(model_folder).values()))
    assert sizes.weights_bytes == (model_folder / WEIGHTS).stat().st_size
    assert (tmp_path / 'back' / WEIGHTS).stat().st_mode & 0o777 == 0o644


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_arrays_come_back(folder_of_arrays, tmp_path_factory, data):
    arrays = data.draw(st.dictionaries(
        st.text('abc.', min_size=1, max_size=5),
        st.sampled_from(KINDS).flatmap(lambda kind: npst.arrays(
            kind, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12))),
        max_size=5))
    shown = {name: array.T if data.draw(st.booleans()) else array
             for name, array in arrays.items()}
    place = tmp_path_factory.mktemp('arrays')
    folder_of_arrays(place / 'model', arrays, graph_of(shown))
    pack(place / 'model', place / 'model.vprz')
    unpack(place / 'model.vprz', place / 'back')
    assert contents(place / 'back') == contents(place / 'model')


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=st.binary(max_size=300), other=st.binary(max_size=300))
def test_any_other_files_come_back(folder_of_arrays, tmp_path_factory, graph, other):
    place = tmp_path_factory.mktemp('files')
    folder_of_arrays(place / 'model', {'a': np.ones(3, np.float32)}, graph,
                     **{'openvino_int8.bin': other, 'README': other})
    pack(place / 'model', place / 'model.vprz')
    unpack(place / 'model.vprz', place / 'back')
    assert contents(place / 'back') == contents(place / 'model')


@pytest.mark.parametrize('arrays', [
    {}, {'a': np.empty(0, np.float32)}, {'a': np.zeros((64, 64), np.float32)},
    {'a': np.array([3.5], np.float32)}, {'a': np.array(1, np.int64)},
    {'a': np.full((40, 40), np.nan, np.float32)},
    {'a': np.tile(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], np.float32), 99)},
    {'a': np.random.default_rng(0).standard_normal((50, 50), np.float32)}],
    ids=['nothing', 'empty', 'all zero', 'one', 'scalar', 'NaN', 'not finite', 'all different'])
def test_layers_at_the_edge_come_back(packed, arrays):
    packed(arrays)


@pytest.mark.parametrize('bits', range(1, 9))
def test_weights_of_any_bits_come_back(packed, bits):
    weights = sharing((40, 60), 2 ** bits - 1)
    sizes = packed({'layer.weight': weights}, graph_of({'w': weights}))
    (array,) = sizes.arrays
    assert array.name == 'layer.weight'
    assert array.levels == len(np.unique(weights))
    assert array.zeros == np.count_nonzero(weights == 0.0)


def test_an_array_is_stored_once_wherever_it_stands(packed):
    weights = sharing((300, 200), zeros=0.7)
    sizes = packed({'a': weights, 'b': weights}, graph_of({'as it is': weights, 'T': weights.T}))
    assert len(sizes.arrays) == 1
    assert sizes.index_bytes + sizes.gap_bytes < weights.size * 3.2 / 8
    assert sizes.rest_bytes < 1500


def test_where_the_bytes_went_adds_up(packed):
    weights = {f'layer{k}': sharing((100, 90), seed=k) for k in range(3)}
    weights['bias'] = np.random.default_rng(5).standard_normal(500, np.float32)
    sizes = packed(weights, graph_of(weights))
    parts = [sizes.codebook_bytes, sizes.index_bytes, sizes.gap_bytes, sizes.plain_bytes]
    assert sizes.file_bytes == sum(parts) + sizes.rest_bytes
    assert sum(parts) == pytest.approx(sum(array.packed_bytes for array in sizes.arrays))
    by_name = {array.name: array for array in sizes.arrays}
    assert by_name['bias'].levels == 0
    assert by_name['bias'].packed_bytes == pytest.approx(sizes.plain_bytes)
    for name in ('layer0', 'layer1', 'layer2'):
        said = packed_bits(weights[name]) / 8
        assert by_name[name].packed_bytes == pytest.approx(said, rel=0.05)
    assert sizes.ratio == sizes.weights_bytes / sizes.file_bytes


@pytest.mark.parametrize(('zeros', 'levels', 'least'), [
    (0.5, 127, 8.0), (0.7, 90, 12.0), (0.5, 31, 10.0)])
def test_pruned_and_shared_weights_are_a_fraction(packed, zeros, levels, least):
    weights = {f'layer{k}': sharing((512, 256), levels, zeros, k) for k in range(4)}
    sizes = packed(weights, graph_of(weights))
    assert sizes.ratio > least
    assert sizes.folder_bytes > 2 * sizes.weights_bytes  # the graph's share is in the file


def test_weights_of_few_bits_that_share_nothing_are_smaller_as_well(packed):
    """As biases are that were rounded to 16 bits."""
    rng = np.random.default_rng(0)
    whole = rng.standard_normal(20_000, np.float32)
    half = (rng.standard_normal(20_000, np.float32).view(np.uint32) & 0xffff0000).view(np.float32)
    sizes = packed({'whole': whole, 'half': half})
    taken = {array.name: array.bits for array in sizes.arrays}
    assert taken['half'] < 15.0
    assert taken['whole'] < 28.5


def test_equal_folders_give_equal_files(model_folder, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / 'copy')
    (copy / '.engines.json').write_text('{}')  # a cache, which stays behind
    pack(model_folder, tmp_path / 'one.vprz')
    pack(copy, tmp_path / 'two.vprz')
    assert (tmp_path / 'one.vprz').read_bytes() == (tmp_path / 'two.vprz').read_bytes()


def test_a_packed_model_can_be_packed_again(model_folder, tmp_path):
    pack(model_folder, tmp_path / 'one.vprz')
    pack(tmp_path / 'one.vprz', tmp_path / 'two.vprz')
    assert (tmp_path / 'one.vprz').read_bytes() == (tmp_path / 'two.vprz').read_bytes()


def test_an_existing_file_is_kept_unless_forced(model_folder, tmp_path):
    file = tmp_path / 'small.vprz'
    file.write_bytes(b'mine')
    with pytest.raises(ModelError, match='exists already; choose another name or pass --force'):
        pack(model_folder, file)
    assert file.read_bytes() == b'mine'
    pack(model_folder, file, force=True)
    assert PackedFile.read(file).header.card == (model_folder / CARD).read_text()


def test_a_file_that_would_not_come_back_is_not_kept(model_folder, tmp_path, monkeypatch):
    def changed(file):
        private = unpacked(file)
        content = bytearray((private.path / GRAPH).read_bytes())
        content[99] ^= 1
        (private.path / GRAPH).write_bytes(content)
        return private
    from vpr_ros.nets import pack as packing
    unpacked = packing.unpacked_privately
    monkeypatch.setattr(packing, 'unpacked_privately', changed)
    with pytest.raises(ModelError, match=r'model\.onnx does not come back as it was'):
        pack(model_folder, tmp_path / 'small.vprz')
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_folder_is_not_packed(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / 'model')
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])
    with pytest.raises(ModelError, match='does not match its digest'):
        pack(folder, tmp_path / 'small.vprz')
    assert not (tmp_path / 'small.vprz').exists()


def test_a_folder_with_folders_is_not_packed(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / 'model')
    (folder / 'notes').mkdir()
    with pytest.raises(ModelError, match='notes is no file'):
        pack(folder, tmp_path / 'small.vprz')


def test_a_place_that_cannot_be_written_is_named(model_folder, tmp_path):
    (tmp_path / 'file').write_text('no folder')
    with pytest.raises(ModelError, match=r'small\.vprz cannot be written'):
        pack(model_folder, tmp_path / 'file' / 'small.vprz')


def test_a_resealed_folder_is_another_file(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / 'model')
    card = read_card(folder)
    pack(folder, tmp_path / 'one.vprz')
    seal_model(folder, type(card)(**{**vars(card), 'name': 'another'}))
    pack(folder, tmp_path / 'two.vprz')
    assert unpack(tmp_path / 'two.vprz', tmp_path / 'back').name == 'another'
