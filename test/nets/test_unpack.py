# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import shutil
import tracemalloc

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.errors import ModelError
from vpr_ros.nets.byte_streams import expand, squeeze
from vpr_ros.nets.model_folder import CARD, read_card, WEIGHTS
from vpr_ros.nets.pack import pack
from vpr_ros.nets.packed_format import DIGEST_BYTES, PREFIX
from vpr_ros.nets.unpack import PackedFile, unpack

MIB = 1 << 20


@pytest.fixture(scope='module')
def whole(folder_of_arrays, tmp_path_factory):
    """The bytes of a packed model with an array of every kind."""
    place = tmp_path_factory.mktemp('packed')
    rng = np.random.default_rng(0)
    few = rng.integers(-3, 4, 900).astype(np.float32)
    folder_of_arrays(place / 'model', {
        'sparse': np.where(rng.random(900) < 0.7, np.float32(0), few), 'dense': few + 9,
        'plain': rng.standard_normal(99, np.float32), 'ones': np.ones(77, np.float32)})
    pack(place / 'model', place / 'model.vprz')
    return (place / 'model.vprz').read_bytes()


def forged(whole, change=None, *, version=1, stored=None, size=None, text=None, streams=None):
    """A file with another header and a digest that agrees: nobody's accident."""
    start = PREFIX.size + PREFIX.unpack(whole[:PREFIX.size])[2]
    _, _, _, before = PREFIX.unpack(whole[:PREFIX.size])
    if text is None:
        record = json.loads(expand(memoryview(whole)[PREFIX.size:start], before))
        if change:
            change(record)
        text = json.dumps(record).encode()
    packed = squeeze(text)
    head = PREFIX.pack(whole[:8], version, len(packed) if stored is None else stored,
                       len(text) if size is None else size)
    body = head + packed + (whole[start:-DIGEST_BYTES] if streams is None else streams)
    return body + hashlib.sha256(body).digest()


def refused(tmp_path, data, match):
    file = tmp_path / 'hostile.vprz'
    file.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=match) as raised:
            unpack(file, tmp_path / 'out')
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB + 8 * len(data)
    finally:
        tracemalloc.stop()
    assert str(file) in str(raised.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ['hostile.vprz']


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(whole, tmp_path_factory, data):
    place = tmp_path_factory.mktemp('flip')
    content = bytearray(whole)
    content[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (place / 'a.vprz').write_bytes(content)
    with pytest.raises(ModelError, match=r'a\.vprz is (damaged .*pack the model|no packed model)'):
        PackedFile.read(place / 'a.vprz')


@settings(max_examples=60)
@given(data=st.data())
def test_a_cut_file_is_found(whole, tmp_path_factory, data):
    place = tmp_path_factory.mktemp('cut')
    (place / 'a.vprz').write_bytes(whole[:data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ModelError, match=r'a\.vprz is (damaged .*pack the model|no packed model)'):
        PackedFile.read(place / 'a.vprz')


def test_bytes_behind_the_end_are_found(whole, tmp_path):
    refused(tmp_path, whole + b'x', 'its digest does not agree')


@settings(max_examples=200)
@given(data=st.data())
def test_any_change_of_the_header_is_refused_or_changes_no_file(whole, tmp_path_factory, data):
    """Whoever can forge a digest still cannot write elsewhere, crash or take memory."""
    def change(record):
        where, keys = record, []
        while isinstance(where, (dict, list)) and len(where):
            key = data.draw(st.sampled_from(sorted(where)) if isinstance(where, dict)
                            else st.integers(0, len(where) - 1))
            keys.append((where, key))
            where = where[key]
        holder, key = data.draw(st.sampled_from(keys))
        holder[key] = data.draw(st.one_of(
            st.integers(-3, 300), st.sampled_from([1 << 31, 1 << 32, 1 << 63, 10**40, 1.5, True]),
            st.none(), st.text(max_size=4), st.just([]), st.just({}), st.just([[1, 2]])))
    place = tmp_path_factory.mktemp('forged')
    (place / 'a.vprz').write_bytes(forged(whole, change))
    try:
        unpack(place / 'a.vprz', place / 'out')
    except ModelError:
        assert not (place / 'out').exists()
    assert {entry.name for entry in place.iterdir()} <= {'a.vprz', 'out'}


@pytest.mark.parametrize('name', [
    '../evil', '/tmp/evil', 'a/b', '..', '.', '', '.hidden', 'a\x00b', 'a\\b', 'x' * 201, 'ä',
    'a b', 'a\n'])
def test_a_name_that_leads_elsewhere_is_refused(whole, tmp_path, name):
    def rename(record):
        record['files'][-1][0] = name
    refused(tmp_path, forged(whole, rename), 'a file called')


def change_file(at, value):
    def change(record):
        entry = next(file for file in record['files'] if file[0] == WEIGHTS)
        entry[at] = value
    return change


def set_array(**parts):
    at = {'count': 1, 'levels': 3, 'values': 5}

    def change(record):
        for name, value in parts.items():
            record['arrays'][0][at[name]] = value
    return change


def twice(record):
    record['files'][-1][0] = record['files'][0][0]


def many(record):
    record['files'] += [[f'file{k}', 0, []] for k in range(99)]


def without_weights(record):
    record['files'] = [file for file in record['files'] if file[0] != WEIGHTS]


def unused(record):
    record['arrays'].append([4, 1 << 30, 'd', 1, 0, 0, 0])


def other_card(record):
    record['card'] += ' '


def no_card(record):
    record['card'] = '{}'
    record['files'] = [[name, 2 if name == CARD else size, pieces]
                       for name, size, pieces in record['files']]


def wide_card(record):
    """A card of a huge network, and a file as huge."""
    card = json.loads(record['card'])
    card['widths'] = {'layer': [1 << 20, 1 << 20]}
    record['card'] = json.dumps(card)
    record['files'] = [[name, len(record['card']) if name == CARD else size, pieces]
                       for name, size, pieces in record['files']]
    change_file(1, 1 << 33)(record)


def constant(record):
    """An array of one value costs nothing to store, so that only its size can tell."""
    record['arrays'].append([4, 1 << 29, 'd', 1, 0, 0, 0])
    record['frames']['codebook4'] = record['frames']['codebook4']
    entry = next(file for file in record['files'] if file[0] == WEIGHTS)
    entry[2].append([0, len(record['arrays']) - 1, 0])
    entry[1] += 1 << 31


@pytest.mark.parametrize(('change', 'said'), [
    (twice, 'a name twice'), (many, 'too many files'), (without_weights, 'no card'),
    (unused, 'used nowhere'), (other_card, 'another card.json'), (no_card, 'no model card'),
    (wide_card, 'a size of 8589934592'), (constant, 'more than a network of its card can need'),
    (change_file(1, 1 << 32), 'that are allowed'),
    (change_file(1, 1 << 31), 'more than a network of its card can need'),
    (change_file(1, 10), 'do not fit into'),
    (change_file(2, [[0, 99, 0]]), 'that is not there'),
    (change_file(2, [[0, 0, 7]]), 'that is not there'),
    (change_file(2, [[1 << 20, 0, 0]]), 'do not fit into'),
    (set_array(count=1 << 30), 'do not fit'), (set_array(levels=257), 'cannot be'),
    (set_array(values=1), 'damaged'),
    (lambda record: record['frames'].pop('rest'), 'other streams'),
    (lambda record: record['frames'].update(symbols=[]), 'a stream symbols of 0 frames'),
    (lambda record: record['frames'].update(steps=[1, 2]), 'a stream steps of 2 frames'),
    (lambda record: record['frames'].update(rest=[1]), 'not of its size'),
    (lambda record: record.clear(), 'malformed'),
])
def test_a_header_that_contradicts_itself_is_refused(whole, tmp_path, change, said):
    refused(tmp_path, forged(whole, change), said)


@pytest.mark.parametrize('text', [b'', b'null', b'[]', b'{', b'[' * 9999, b'\xff', b'7' * 9999])
def test_a_header_that_is_none_is_refused(whole, tmp_path, text):
    refused(tmp_path, forged(whole, text=text), 'is damaged')


def test_a_header_larger_than_it_says_is_refused(whole, tmp_path):
    refused(tmp_path, forged(whole, text=b' ' * (64 * MIB)), 'a header of 67108864 bytes')
    refused(tmp_path, forged(whole, text=b' ' * (64 * MIB), size=100), 'not of 100 bytes')
    refused(tmp_path, forged(whole, stored=len(whole)), 'a header of')


def test_streams_larger_than_they_say_are_refused(whole, tmp_path):
    bomb = squeeze(bytes(512 * MIB))

    def change(record):
        for name, sizes in record['frames'].items():
            record['frames'][name] = [len(bomb) for _ in sizes]
        streams.append(bomb * sum(map(len, record['frames'].values())))
    streams: list[bytes] = []
    forged(whole, change)
    refused(tmp_path, forged(whole, change, streams=streams[0]), 'a stream that is not of')


def test_a_later_version_is_told_apart_from_damage(whole, tmp_path):
    refused(tmp_path, forged(whole, version=2), 'is of version 2, this reads 1; update vpr_ros')


def test_arrays_that_are_not_the_models_are_refused_by_their_digest(whole, tmp_path):
    """The digest of the whole can be forged; those of the manifest are the model's."""
    def swap(record):
        entry = next(file for file in record['files'] if file[0] == WEIGHTS)
        (first,) = (n for n, array in enumerate(record['arrays']) if array[2] == 's')
        (other,) = (n for n, array in enumerate(record['arrays'])
                    if array[2] == 'd' and array[3] > 1)
        for piece in entry[2]:
            piece[1] = {first: other, other: first}.get(piece[1], piece[1])
    file = tmp_path / 'a.vprz'
    file.write_bytes(forged(whole, swap))
    with pytest.raises(ModelError, match=r'weights\.safetensors does not match its digest'):
        unpack(file, tmp_path / 'out')
    with pytest.raises(ModelError, match=r'weights\.safetensors does not match its digest'):
        read_card(file)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04', b'\x93VPR', bytes(100)])
def test_another_file_is_no_packed_model(tmp_path, content):
    (tmp_path / 'a.vprz').write_bytes(content)
    with pytest.raises(ModelError, match=r'a\.vprz is no packed model, and no model folder'):
        read_card(tmp_path / 'a.vprz')


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r'no packed model .*/nowhere\.vprz'):
        unpack(tmp_path / 'nowhere.vprz', tmp_path / 'out')


def test_an_existing_folder_is_kept_unless_forced(whole, tmp_path):
    (tmp_path / 'a.vprz').write_bytes(whole)
    unpack(tmp_path / 'a.vprz', tmp_path / 'out')
    (tmp_path / 'out' / 'mine').write_text('kept')
    with pytest.raises(ModelError, match='exists already; choose another name or pass --force'):
        unpack(tmp_path / 'a.vprz', tmp_path / 'out')
    assert (tmp_path / 'out' / 'mine').exists()
    unpack(tmp_path / 'a.vprz', tmp_path / 'out', force=True)
    assert not (tmp_path / 'out' / 'mine').exists()


def test_a_full_disk_leaves_nothing(whole, tmp_path, monkeypatch):
    (tmp_path / 'a.vprz').write_bytes(whole)

    def full(handle, data, at):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr('vpr_ros.nets.unpack.os.pwrite', full)
    with pytest.raises(ModelError, match='cannot be unpacked .*No space left on device'):
        unpack(tmp_path / 'a.vprz', tmp_path / 'out')
    assert [entry.name for entry in tmp_path.iterdir()] == ['a.vprz']
    shutil.rmtree(tmp_path)
