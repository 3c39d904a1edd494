# SPDX-License-Identifier: Apache-2.0
import json
import sys

import pytest

from vpr_ros.nets.model_folder import default_model_folder, MANIFEST, read_card
from vpr_ros.tools.cli import main


def run(*words):
    """Run the command vpr in this process; return its exit code."""
    before = sys.argv
    sys.argv = ['vpr', *map(str, words)]
    try:
        main()
    except SystemExit as ended:
        return ended.code
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope='module')
def packed(tmp_path_factory):
    file = tmp_path_factory.mktemp('packed') / 'default.vprz'
    assert not run('model', 'pack', default_model_folder(), file)
    return file


def test_packing_says_where_the_bytes_went(packed, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    assert not run('model', 'pack', packed, tmp_path / 'again.vprz', '--arrays')
    out = capsys.readouterr().out
    assert f'{packed.stat().st_size:,} bytes, the folder' in out
    assert 'whole arrays' in out
    assert 'aggregator.conv.weight' in out


def test_a_network_that_shares_no_weights_is_sent_to_compress(tmp_path, capsys):
    assert not run('model', 'pack', default_model_folder(), tmp_path / 'a.vprz')
    assert 'its weights share no values; vpr compress' in capsys.readouterr().out


def test_unpacking_gives_the_folder_back(packed, tmp_path, capsys):
    assert not run('model', 'unpack', packed, tmp_path / 'model')
    assert 'vpr-default, 1024-d' in capsys.readouterr().out
    there = (tmp_path / 'model' / MANIFEST).read_bytes()
    assert there == (default_model_folder() / MANIFEST).read_bytes()
    assert run('model', 'unpack', packed, tmp_path / 'model') == 2
    assert 'exists already' in capsys.readouterr().err
    assert not run('model', 'unpack', packed, tmp_path / 'model', '--force')


def test_info_reads_a_packed_model(packed, capsys):
    assert not run('model', 'info', packed)
    shown = json.loads(capsys.readouterr().out)
    assert shown['digest'] == read_card(default_model_folder()).digest


def test_a_damaged_file_is_one_line(packed, tmp_path, capsys):
    (tmp_path / 'cut.vprz').write_bytes(packed.read_bytes()[:5000])
    assert run('model', 'info', tmp_path / 'cut.vprz') == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert 'cut.vprz is damaged (its digest does not agree); copy it again' in said
