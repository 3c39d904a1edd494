# SPDX-License-Identifier: Apache-2.0
"""Make the default model: teacher, images, training, its own report card, the model folder."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
import sys
from typing import Any

from torch import nn

from vpr_ros.compress.distill import distill, Distilled
from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_eval import benchmark, Recall
from vpr_ros.compress.distill_images import source_images
from vpr_ros.compress.distill_student import as_network, convap_args
from vpr_ros.core.card import Preprocessing
from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import ModelError, VprError
from vpr_ros.nets.aggregators import Grid
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_import import backbone_from
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import TorchDescriber

NAME, LICENCE = 'vpr-default', 'Apache-2.0'
TEACHER, TEACHER_CUT = 'mobilenet_v2', 'features.14'
RECALL_IS = ('share of the queries that have a positive with one among their 1 or 5 best, by '
             'exact search; teacher: its map averaged over the same grid, all channels')
TEACHER_FILE = 'weights/mobilenet_v2/mobilenet_v2_dequant_torchvision.pth'


def make_default(config: DistillConfig, shared: Path, out: Path, seed: int,
                 force: bool = False) -> Path:
    """Train under `out` (resuming what is there) and write the model folder `out/model`.

    `shared` holds `data` and `weights`.  Returns the model folder.
    Raises ModelError and DatasetError where weights or images are missing.
    """
    folder = out / 'model'
    refuse_existing(folder, force, ModelError)
    teacher = backbone_from(shared / TEACHER_FILE, TEACHER, TEACHER_CUT)
    images = source_images(shared / 'data', config, seed)
    made = distill(config, teacher, images, out, seed)

    network = as_network(made.student, config)
    preprocessing = Preprocessing(config.input_px, config.input_px)
    card = card_of(network, NAME, config.backbone, config.cut, 'convap', convap_args(config),
                   preprocessing, LICENCE)
    scores = benchmark(TorchDescriber(network, card), shared / 'data')
    beside = benchmark(teacher_describer(teacher, config.grid, preprocessing), shared / 'data')
    notes = {**_origin(config, made, seed), 'recall_is': RECALL_IS,
             'recall': recall_table(scores, beside)}
    write_model(folder, network, replace(card, notes=notes), force)
    for name, score in scores.items():
        print(f'{name:18} recall@1 {score.at_1:.3f} (teacher {beside[name].at_1:.3f})  '
              f'@5 {score.at_5:.3f} ({beside[name].at_5:.3f})  of {score.queries}')
    return folder


def teacher_describer(teacher: nn.Module, grid: int,
                      preprocessing: Preprocessing) -> TorchDescriber:
    """Return the teacher as it is, its map averaged over the student's grid, all channels."""
    network = Network(teacher, Grid(grid))
    card = card_of(network, 'teacher', TEACHER, TEACHER_CUT, 'grid', {'grid': grid},
                   preprocessing, 'Apache-2.0')
    return TorchDescriber(network, card)


def learned_from(config: DistillConfig) -> dict[str, str]:
    """Return by what and from which pictures a student of the teacher learns, for its card."""
    return {
        'teacher': f'torchvision {TEACHER} (ImageNet) up to {TEACHER_CUT}; no weights copied',
        'images': 'first halves by place of corridor, indoor_two_laps and campus_loop, and '
                  f'{config.world_frames} rendered images of the procedural world',
        'augmentation': 'warped crops down to 4 % of the area, patchworks, leaves cut from crops, '
                        'color mixing, gamma, shadows, blur, noise, JPEG'}


def _origin(config: DistillConfig, made: Distilled, seed: int) -> dict[str, Any]:
    """Return how the model was made, for its card."""
    return {
        'made_by': 'python -m vpr_ros.compress.distill --config config/distill.yaml',
        'method': 'distillation from random initialization: cosine to the map of the teacher at '
                  'every position and over the map, in its half-whitened principal axes',
        **learned_from(config),
        'views': config.rounds * config.views, 'steps': made.steps, 'seed': seed,
        'wall_minutes': round(made.seconds / 60.0, 1), 'config': asdict(config)}


def recall_table(scores: Mapping[str, Recall], teacher: Mapping[str, Recall]) -> dict[str, Any]:
    """Return the recalls with protocol, and the teacher's beside them, for the card."""
    return {name: {**asdict(score), 'teacher_at_1': teacher[name].at_1,
                   'teacher_at_5': teacher[name].at_5}
            for name, score in scores.items()}


def main() -> None:
    """Run from the command line; an error the user can act on is one line and exit status 2."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('--config', type=Path, required=True, help='a YAML file of knobs')
    parser.add_argument('--shared', type=Path, required=True, help='folder of data/ and weights/')
    parser.add_argument('--out', type=Path, required=True, help='checkpoints, then the model')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--force', action='store_true', help='replace the model folder')
    given = parser.parse_args()
    try:
        folder = make_default(DistillConfig.read(given.config), given.shared, given.out,
                              given.seed, given.force)
    except VprError as error:
        print(f'distill: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    print(f'wrote {folder}')

