# SPDX-License-Identifier: Apache-2.0
"""A benchmark of the network that ships: that it measures, not how fast this machine is."""

from dataclasses import replace
import io
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest
from rich.console import Console

from vpr_ros.errors import ModelError
from vpr_ros.nets.engines import installed
from vpr_ros.nets.model_folder import default_model_folder, INT8_GRAPH, read_card, seal_model
from vpr_ros.tools.bench import bench_models
from vpr_ros.tools.bench_process import Worker
from vpr_ros.tools.bench_records import BenchConfig, Spent
from vpr_ros.tools.bench_tables import print_bench, write_bench

MODEL = default_model_folder()


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    """A benchmark of the shipped network and of one that passes for its int8 child."""
    child = tmp_path_factory.mktemp('models') / 'child'
    shutil.copytree(MODEL, child, ignore=shutil.ignore_patterns('.*'))
    shutil.copyfile(child / 'model.onnx', child / INT8_GRAPH)
    seal_model(child, replace(read_card(child), name='child', precision='int8'))
    return bench_models([MODEL, child], MODEL, ['onnxruntime'],
                        BenchConfig(rounds=2, batch=2))


def test_each_engine_and_precision_has_a_row(bench):
    rows = {(row.model, row.engine, row.precision): row for row in bench.rows}
    wanted = {('vpr-default', 'onnxruntime', 'fp32'), ('child', 'onnxruntime', 'int8')}
    if 'torch' in installed():
        wanted.add(('vpr-default', 'torch', 'fp32'))
    assert set(rows) == wanted
    assert bench.remarks == ()
    for row in rows.values():
        assert 0.0 < row.one.cpu_ms_p50 <= row.one.cpu_ms_p95
        assert 0.0 < row.one.wall_ms_p50 <= row.one.wall_ms_p95
        assert row.images_per_s > 0.0
        assert 50.0 < row.memory_mb < 2000.0
        assert 1.0 < row.file_mb < 5.0


@pytest.mark.skipif('torch' not in installed(), reason='ratios are to torch, which is absent')
def test_ratios_are_to_the_dense_network_in_torch(bench):
    by_engine = {row.engine: row for row in bench.rows if row.model == 'vpr-default'}
    assert by_engine['torch'].ratio == pytest.approx(1.0)
    engine = by_engine['onnxruntime']
    assert engine.ratio == pytest.approx(
        engine.one.cpu_ms_p50 / by_engine['torch'].one.cpu_ms_p50)
    assert bench.product_gmac_per_s['fp32'] > 1.0
    assert engine.gmac_per_s == pytest.approx(
        bench.gmacs['vpr-default'] / engine.one.cpu_ms_p50 * 1e3)
    assert engine.share_of_product == pytest.approx(
        engine.gmac_per_s / bench.product_gmac_per_s['fp32'])


def test_the_stops_around_the_network_are_measured(bench):
    assert [stages.model for stages in bench.stages] == ['vpr-default', 'child']
    for stages in bench.stages:
        assert min(stages.decode_ms, stages.preprocess_ms, stages.network_ms,
                   stages.search_ms) > 0.0


def test_tables_and_json_hold_the_numbers(bench, tmp_path):
    page = io.StringIO()
    print_bench(bench, Console(file=page, width=200))
    text = page.getvalue()
    for word in ('vpr-default', 'child', 'onnxruntime int8', 'cpu ms p50', 'preprocess',
                 'protocol: each engine in a process of its own, 1 thread(s)', 'cores'):
        assert word in text
    write_bench(bench, tmp_path / 'bench.json')
    record = json.loads((tmp_path / 'bench.json').read_text())
    assert record['schema'] == 1
    assert len(record['rows']) == len(bench.rows)
    assert record['machine']['cores'] >= 1
    with pytest.raises(ModelError, match='cannot write .*; choose another place'):
        write_bench(bench, tmp_path / 'nowhere' / 'bench.json')


def test_quantiles_are_of_either_clock():
    spent = Spent.of([(0.001, 0.002), (0.003, 0.004), (0.002, 0.009)])
    assert (spent.cpu_ms_p50, spent.wall_ms_p50) == pytest.approx((2.0, 4.0))


def test_a_process_that_cannot_begin_says_why(tmp_path):
    with pytest.raises(ModelError, match='there is no model folder'):
        Worker({'kind': 'engine', 'folder': str(tmp_path / 'none'), 'engine': 'onnxruntime',
                'precision': 'fp32', 'threads': 1, 'batch': 1})


@pytest.mark.parametrize(('words', 'said'), [
    ((), 'models'), (('nowhere',), 'there is no model folder nowhere'),
    ((str(MODEL), '--engines', 'tflite'), 'there is no engine tflite; choose one of'),
    ((str(MODEL), '--threads', '0'), '--threads and --rounds must be 1 or more')])
def test_what_cannot_be_measured_is_one_line(words, said):
    done = subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', 'bench', *words],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, 'COLUMNS': '200'})
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.lower() or said in done.stderr
    assert done.stderr.count('\n') == 1
