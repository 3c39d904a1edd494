# SPDX-License-Identifier: Apache-2.0
"""A packed model where a folder is asked for, and what is left of it in memory."""

import gc
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from vpr_ros.errors import ModelError
from vpr_ros.nets import engines, opened_model, private_folder
from vpr_ros.nets.engines import candidates, open_describer
from vpr_ros.nets.model_folder import load_describer, MANIFEST, read_card
from vpr_ros.nets.opened_model import opened
from vpr_ros.nets.pack import pack
from vpr_ros.nets.private_folder import is_private, PrivateFolder
from vpr_ros.nets.torch_describer import load_network, TorchDescriber


@pytest.fixture(scope='module')
def packed(model_folder, tmp_path_factory):
    """A packed model that no test may change."""
    file = tmp_path_factory.mktemp('packed') / 'small.vprz'
    pack(model_folder, file)
    return file


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """A memory of the test's own, an empty cache, and nothing that is opened already."""
    folder = tmp_path / 'memory'
    folder.mkdir()
    monkeypatch.setattr(private_folder, 'MEMORY', folder)
    monkeypatch.setattr(opened_model, '_OPENED', {})
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    yield folder
    gc.collect()


def test_the_card_is_the_folders(packed, model_folder):
    assert read_card(packed) == read_card(model_folder)


@pytest.mark.parametrize('engine', engines.installed())
def test_every_engine_gives_the_very_descriptors(packed, model_folder, pictures, engine):
    images = pictures(19)  # more than a batch
    wanted = load_describer(model_folder, 1, engine, 'fp32').describe(images)
    got = load_describer(packed, 1, engine, 'fp32').describe(images)
    np.testing.assert_array_equal(got, wanted)


def test_the_network_is_the_folders(packed, model_folder):
    card = read_card(packed)
    wanted, got = (load_network(path, card).state_dict() for path in (model_folder, packed))
    assert wanted.keys() == got.keys()
    assert all((wanted[name] == got[name]).all() for name in wanted)
    assert TorchDescriber.load(packed).card == card


def test_a_loaded_model_leaves_nothing_in_memory(packed, memory):
    describer = load_describer(packed, 1, 'onnxruntime')
    assert list(memory.iterdir()) == []
    assert describer.describe([np.zeros((9, 9, 3), np.uint8)]).shape == (1, describer.card.dim)


def test_an_engine_that_reads_later_keeps_its_folder_until_it_goes(packed, memory):
    pytest.importorskip('openvino')
    describer = load_describer(packed, 1, 'openvino', 'fp32')
    assert len(list(memory.iterdir())) == 1
    assert describer.describe([np.zeros((9, 9, 3), np.uint8)] * 3).shape[0] == 3
    del describer
    gc.collect()
    assert list(memory.iterdir()) == []


def test_a_model_that_cannot_run_leaves_nothing_in_memory(packed, memory):
    with pytest.raises(ModelError, match='no int8 graph'):
        load_describer(packed, 1, 'onnxruntime', 'int8')
    assert list(memory.iterdir()) == []


def test_what_was_measured_is_remembered_in_the_cache(packed, model_folder, tmp_path):
    if len(candidates(model_folder, read_card(model_folder), 'auto', 'auto')) == 1:
        pytest.skip('there is one engine only')
    first = load_describer(packed, 1)
    digest = read_card(model_folder).digest
    assert f'remembered in {tmp_path / "cache"}/vpr_ros/engines/{digest}.json' in first.choice
    second = load_describer(packed, 1)
    assert second.choice.endswith('(measured before)')
    assert second.engine == first.engine


def test_it_is_unpacked_once_and_again_when_it_has_changed(packed, model_folder, tmp_path, memory):
    file = shutil.copy(packed, tmp_path / 'mine.vprz')
    folder = opened(file)
    assert opened(file) == folder
    assert is_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    os.utime(file, ns=(1, 1))
    assert opened(file) != folder
    assert len(list(memory.iterdir())) == 1
    assert opened(model_folder) == model_folder


def test_engines_take_it_as_well(packed):
    card = read_card(packed)
    (candidate,) = candidates(packed, card, 'onnxruntime', 'fp32')
    assert open_describer(packed, card, 1, candidate).engine == 'onnxruntime'


def test_a_private_folder_goes_once(memory):
    folder = PrivateFolder(100)
    (folder.path / 'file').write_text('content')
    assert is_private(folder.path)
    folder.close()
    folder.close()
    assert not folder.path.exists()
    assert not is_private(folder.path)


def test_where_memory_has_no_room_the_temporary_files_do(memory, tmp_path, monkeypatch):
    disk = tmp_path / 'disk'
    disk.mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(disk))
    usage = shutil.disk_usage(disk)
    monkeypatch.setattr(private_folder.shutil, 'disk_usage', lambda path: usage._replace(
        free=1000 if Path(path) == memory else 1 << 40))
    folder = PrivateFolder(1 << 30)
    assert folder.path.parent == disk
    folder.close()
    monkeypatch.setattr(private_folder.shutil, 'disk_usage', lambda path: usage._replace(free=9))
    with pytest.raises(ModelError, match=r'needs 1074 MB .* neither .*memory nor .*disk has them'):
        PrivateFolder(1 << 30)


_CHILD = """
import sys, time
from pathlib import Path
from vpr_ros.nets import private_folder
private_folder.MEMORY = Path(sys.argv[1])
from vpr_ros.nets.opened_model import opened
print(opened(Path(sys.argv[2])), flush=True)
if len(sys.argv) > 3:
    time.sleep(300)
"""


def child(memory, packed, *more):
    process = subprocess.Popen([sys.executable, '-c', _CHILD, str(memory), str(packed), *more],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_goes_with_the_process(packed, memory):
    process, folder = child(memory, packed)
    assert process.wait(60) == 0
    assert folder.parent == memory
    assert list(memory.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(packed, memory):
    process, folder = child(memory, packed, 'stay')
    try:
        mine = PrivateFolder(100)
        assert (folder / MANIFEST).exists()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert (folder / MANIFEST).exists()
        another = PrivateFolder(100)
        assert not folder.exists()
        assert mine.path.exists()
        for each in (mine, another):
            each.close()
    finally:
        process.kill()
        process.wait(60)


def test_the_end_of_a_fork_takes_nothing_away(packed):
    folder = opened(packed)
    if (pid := os.fork()) == 0:
        private_folder._remove(folder, -1, os.getppid())
        os._exit(0)
    os.waitpid(pid, 0)
    assert (folder / MANIFEST).exists()
