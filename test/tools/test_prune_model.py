# SPDX-License-Identifier: Apache-2.0
"""Targets that a run is gone on with, and children that ask the maps of their parents."""

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')

import torch

from vpr_ros.compress import prune_run
from vpr_ros.compress.finetune_state import STATE
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_points import POINTS, read_points, Speed
from vpr_ros.compress.prune_trial import Target, Trial
from vpr_ros.core import pose as se3
from vpr_ros.core.card import Preprocessing
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.querying import may_query
from vpr_ros.core.types import Camera, Frame
from vpr_ros.errors import DatasetError, MapError, ModelError, VprError
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.network import build_network
from vpr_ros.nets.torch_describer import TorchDescriber
from vpr_ros.tools.lesson_source import LessonSource
from vpr_ros.tools.picture_source import folder_pictures
from vpr_ros.tools.prune_model import Judges, prune_model
from vpr_ros.tools.report_command import write_pruning_report

HEAD = {'channels': 16, 'grid': 2}
TINY = {'sparsity': 0.5, 'steps': 1, 'epochs': 1, 'last_epochs': 0, 'views': 16, 'batch': 8,
        'reuse': 1, 'multiple': 4, 'refit': 0, 'amp': 'off'}
TARGET = Target(latency_ms=5.0)


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a tiny network without its graph, which takes seconds to export."""
    patch = pytest.MonkeyPatch()
    patch.setattr('vpr_ros.nets.export.export_onnx',
                  lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    folder = tmp_path_factory.mktemp('parent') / 'model'
    torch.manual_seed(0)
    network = build_network('mobilenet_v2', 'features.4', 'convap', HEAD, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         HEAD, Preprocessing(32, 32), 'Apache-2.0'))
    patch.undo()
    return folder


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Return a folder of 60 pictures."""
    import cv2
    folder = tmp_path_factory.mktemp('photos')
    for row in range(60):
        coarse = np.random.default_rng(row).integers(0, 256, (6, 6, 3), np.uint8)
        cv2.imwrite(str(folder / f'{row:02d}.png'), np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    return folder


@pytest.fixture
def clock(monkeypatch):
    """Return the factor by which all takes longer; dense takes 10 ms, a cut share less."""
    factor, measured = [1.0], []

    def total_ms(trial, network, target):
        share = (sum(p.numel() for p in network.parameters())
                 / sum(p.numel() for p in trial.network.parameters()))
        measured.append(share)
        return 10.0 * share * factor[0]

    monkeypatch.setattr(Trial, 'total_ms', total_ms)
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    monkeypatch.setattr(prune_run, 'speed_of', lambda folder, parent, places, engine, kept: Speed(
        engine, 1.0, 2.0, 0.1, 0.1, places))
    return factor, measured


@pytest.fixture
def run(parent, photos, clock, tmp_path):
    """Return what prunes the parent into `tmp_path/out`: run(target, **knobs)."""
    def prune(target=TARGET, max_drop_points=None, say=lambda _: None, force=False, judges=None,
              source=None, **changes):
        return prune_model(parent, tmp_path / 'out', source or LessonSource((photos,)),
                           judges or Judges(), RunConfig.read(None, **{**TINY, **changes}), target,
                           max_drop_points=max_drop_points, controls=False, force=force, say=say)
    return prune


def test_a_target_is_met_and_what_met_it_is_noted(run, clock, tmp_path):
    said = []
    done = run(say=said.append)
    points, settings = read_points(tmp_path / 'out')
    assert settings['goal']['asked'] == [5.0, None]
    assert settings['prune']['sparsity'] == points[-1].sparsity != TINY['sparsity']
    assert 10.0 * points[-1].parameters / points[0].parameters <= 5.0
    assert f'pruning {points[-1].sparsity:.0%} of the channels' in said
    assert (done.chosen, done.why) == (done.points[-1], 'as pruned as was asked for')


def test_what_was_measured_first_is_kept_although_times_differ(run, clock, tmp_path):
    factor, measured = clock
    first = run()
    assert measured
    factor[0] = 1.4
    measured.clear()
    assert run().points == first.points
    assert not measured


class Stopped(Exception):  # noqa: N818
    pass


def stopping_at(line):
    def say(said):
        if said.startswith(line):
            raise Stopped
    return say


@pytest.mark.parametrize('line', ['step 0, epoch 1', 'step 0  0%', 'step 1/1'])
def test_so_it_is_wherever_the_run_was_stopped(run, clock, tmp_path, line):
    factor, measured = clock
    with pytest.raises(Stopped):
        run(say=stopping_at(line))
    factor[0], sparsity = 1.4, read_points(tmp_path / 'out')[1]['prune']['sparsity']
    measured.clear()
    assert run().points[-1].sparsity == sparsity
    assert not measured


def test_a_run_that_was_stopped_between_its_first_files_begins_again(run, tmp_path):
    with pytest.raises(Stopped):
        run(say=stopping_at('step 0, epoch 1'))
    (tmp_path / 'out' / STATE).unlink()
    assert len(run().points) == 2
    (tmp_path / 'out' / STATE).unlink()
    with pytest.raises(ModelError, match='exists and holds no run to go on with'):
        run()


@pytest.mark.parametrize('target', [
    replace(TARGET, latency_ms=3.0), replace(TARGET, memory_bytes=1e9),
    replace(TARGET, map_places=5), replace(TARGET, engine='torch')])
def test_another_target_is_measured_and_its_run_is_another(run, clock, tmp_path, target):
    run()
    clock[0][0] = 1.4
    clock[1].clear()
    with pytest.raises(ModelError, match='is of a run with other settings'):
        run(target)
    assert clock[1]
    assert read_points(tmp_path / 'out')[1]['goal']['asked'] == [5.0, None]
    clock[1].clear()
    run(target, force=True)
    assert clock[1]


def test_without_a_target_nothing_is_measured(run, clock):
    assert run(Target()).points[-1].sparsity == 0.5
    assert not clock[1]


def test_prices_are_measured_where_time_decides(run, monkeypatch, tmp_path):
    asked = []

    def prices(trial, target, say):
        asked.append(target)
        return {group.name: 1.0 for group in trial.groups if group.part.value != 'descriptor'}
    monkeypatch.setattr(Trial, 'prices', prices)
    first = run(allocation='latency')
    assert asked == [TARGET]
    assert run(allocation='latency').points == first.points
    assert asked == [TARGET]


@pytest.mark.parametrize(('source', 'judges', 'complaint'), [
    ({'pictures': ('absent',)}, Judges(), 'there is no absent'),
    ({'places': ('world',)}, Judges(), 'say with --validate what judges'),
    ({'world': 60}, Judges(validate=('nowhere',)), 'names no set'),
    ({'world': 60}, Judges(test=('by-order=absent,tolerance-frames=1',)), 'absent')])
def test_what_is_missing_is_said_before_anything_is_measured(
        run, clock, tmp_path, monkeypatch, source, judges, complaint):
    monkeypatch.setattr('vpr_ros.tools.lesson_source.training_images', lambda *_: (
        np.random.default_rng(row).integers(0, 256, (8, 8, 3), np.uint8) for row in range(60)))
    if 'pictures' in source:
        source = {'pictures': tuple(map(Path, source['pictures']))}
    with pytest.raises(VprError, match=complaint):
        run(source=LessonSource(**source), judges=judges)
    assert not clock[1]
    assert not (tmp_path / 'out').exists()


def test_named_sets_choose_or_only_report(run, tmp_path, photos):
    sets = []
    for name in ('chooses', 'reports'):
        for part in ('map', 'query'):
            (tmp_path / name / part).mkdir(parents=True)
            for file in sorted(photos.iterdir())[:12]:
                (tmp_path / name / part / file.name).write_bytes(file.read_bytes())
        sets.append(f'by-order={tmp_path / name},tolerance-frames=0')
    done = run(judges=Judges((sets[0],), (sets[1],)))
    assert [(each.pair, each.chooses) for each in done.points[0].recalls] == [
        ('chooses', True), ('reports', False)]
    few = Judges((f'by-order={tmp_path / "few"},tolerance-frames=0',))
    for part in ('map', 'query'):
        (tmp_path / 'few' / part).mkdir(parents=True)
        for file in sorted(photos.iterdir())[:3]:
            (tmp_path / 'few' / part / file.name).write_bytes(file.read_bytes())
    with pytest.raises(DatasetError, match='few: 3 of 3 queries have a positive'):
        run(judges=few, force=True)


def test_the_steps_of_a_run_without_points_are_none(run, tmp_path):
    with pytest.raises(Stopped):
        run(say=stopping_at('step 0, epoch 1'))
    assert json.loads((tmp_path / 'out' / POINTS).read_text())['points'] == []
    with pytest.raises(ModelError, match='no step of this run is finished; give the same vpr'):
        write_pruning_report([tmp_path / 'out'])


def map_by(describer, pictures):
    rows = describer.describe(pictures)
    count = len(pictures)
    return PlaceMap(
        frame_id='map', card=describer.card,
        cameras=(Camera('camera', se3.checked([0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5])),),
        descriptors=rows,
        poses=np.stack([se3.from_xy_yaw(float(i), 0.0, 0.0) for i in range(count)]),
        stamps_ns=np.arange(count, dtype=np.int64) * 10**9, camera_of=np.zeros(count, np.int32),
        session_of=np.zeros(count, np.int32), sessions=('first',),
        thumbnails=(b'',) * count, topics={'camera': '/image'}, pose_source='/pose')


@pytest.mark.parametrize(('gamma', 'asks'), [(0.0, True), (1.0, False)])
def test_a_child_asks_its_parents_map_where_it_was_taught_to(run, parent, photos, tmp_path,
                                                             gamma, asks):
    done = run(Target(), sparsity=0.25, gamma=gamma)
    child = TorchDescriber.load(tmp_path / 'out' / done.chosen.folder)
    dense = read_card(parent)
    assert child.card.parent == dense.digest
    assert child.card.queries_maps_of == ((dense.digest,) if asks else ())
    assert may_query(child.card, dense) is asks
    assert not may_query(dense, child.card)
    pictures = list(folder_pictures(photos, 20))
    places = map_by(TorchDescriber.load(parent), pictures)
    if not asks:
        with pytest.raises(MapError, match='was built by model tiny .*use that model, or build'):
            Localizer(LocalizerConfig(), places, child)
        return
    outcome = Localizer(LocalizerConfig(), places, child).localize(
        Frame(0, 'camera', pictures[7]))
    assert 7 in [match.place for match in outcome.matches]
