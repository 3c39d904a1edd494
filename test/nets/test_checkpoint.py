# SPDX-License-Identifier: Apache-2.0
from argparse import Namespace
from collections import OrderedDict
import pickle

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import safetensors.torch
import torch

from vpr_ros.errors import ModelError
from vpr_ros.nets.checkpoint import read_checkpoint

STATE = {'a.weight': torch.arange(600.0).reshape(20, 30), 'a.bias': torch.ones(20)}


class Harmful:
    def __reduce__(self):
        return open, ('harm', 'w')


def same(got, wanted=STATE):
    assert list(got) == list(wanted)
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value)


@pytest.mark.parametrize('saved', [
    STATE, OrderedDict(STATE), {'state_dict': STATE, 'epoch': 3},
    {'model_state_dict': {f'module.{key}': value for key, value in STATE.items()},
     'optimizer_state_dict': {'state': {0: {'step': torch.tensor(3)}}},
     'recalls': np.array([80.0, 90.0]), 'best_r5': np.float64(90.0), 'n': np.int64(4)},
    {'state_dict': {'_orig_mod.a.weight': STATE['a.weight'], 'a._orig_mod.bias': STATE['a.bias'],
                    'loss_fn.W': torch.ones(3), 'loss_function.loss_fn.W': torch.ones(3)},
     'hyper_parameters': {'lr': 1e-4, 'layers': []}},
], ids=['plain', 'ordered', 'lightning', 'script', 'compiled'])
@pytest.mark.parametrize('zipped', [True, False])
def test_tensors_come_out_of_every_wrapping(tmp_path, saved, zipped):
    torch.save(saved, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    same(read_checkpoint(tmp_path / 'a.pth'))


def test_safetensors_are_read(tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / 'a.safetensors')
    got = read_checkpoint(tmp_path / 'a.safetensors')
    same(dict(sorted(got.items(), reverse=True)))
    (tmp_path / 'a.safetensors').write_bytes(b'12345678')
    with pytest.raises(ModelError, match=r'a\.safetensors is damaged'):
        read_checkpoint(tmp_path / 'a.safetensors')


@pytest.mark.parametrize(('saved', 'named'), [
    ({**STATE, 'x': Harmful()}, r'open'),
    (torch.nn.Linear(2, 3), r'torch\.nn\.modules\.linear\.Linear'),
    ({'state_dict': STATE, 'args': Namespace(lr=1)}, r'argparse\.Namespace'),
    ({**STATE, 'x': np.array([Harmful()], dtype=object)}, r'open')])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_by_name_and_not_run(tmp_path, monkeypatch, saved, named, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save(saved, 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=rf'it holds code \(.*{named}.*\) that loading would run'):
        read_checkpoint(tmp_path / 'a.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_a_bare_pickle_with_code_is_refused_by_name(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.pth').write_bytes(pickle.dumps(Harmful(), protocol=protocol))
    with pytest.raises(ModelError, match=r'it holds code \(.*open\)'):
        read_checkpoint(tmp_path / 'a.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'it is cut short, or no PyTorch file'), (b'no zip', 'it is cut short, or no PyTorch'),
    (b'\n<!DOCTYPE html><html>', 'it is a web page: the download did not reach the file')])
def test_what_is_no_checkpoint_is_refused(tmp_path, content, said):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(ModelError, match=rf'cannot be read as plain tensors \({said}'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('saved', [[], {}, {'epoch': 3}, {'state_dict': {'a': 1}}, {3: STATE},
                                   {'state_dict': {}}, STATE['a.bias']])
def test_a_file_without_named_tensors_is_refused(tmp_path, saved):
    torch.save(saved, tmp_path / 'a.pth')
    with pytest.raises(ModelError, match=r'is no state dict \(names to tensors\)'):
        read_checkpoint(tmp_path / 'a.pth')


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r'there is no file .*none\.pth; check the path'):
        read_checkpoint(tmp_path / 'none.pth')


@pytest.mark.parametrize('zipped', [True, False])
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.0, 0.999))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, zipped, share):
    path = tmp_path_factory.mktemp('cut') / 'a.pth'
    torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match='get it again'):
        read_checkpoint(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_gives_the_same_tensors_or_a_refusal(tmp_path_factory, data):
    path = tmp_path_factory.mktemp('flip') / 'a.pth'
    torch.save(STATE, path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        got = read_checkpoint(path)
    except ModelError:
        return
    same(got)
