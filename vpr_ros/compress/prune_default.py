# SPDX-License-Identifier: Apache-2.0
"""Make the default model smaller: `vpr prune` on the training halves, taught by the first teacher.

`python -m vpr_ros.compress.prune_default --config config/prune_default.yaml --shared ../shared
--out DIR` learns what `DIR/teacher` says, and not what the dense student made of it: a pruned
network that hears the teacher itself can end above its parent. A second call goes on.
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict, replace
from pathlib import Path
import shutil
import sys
from typing import Any, cast

import numpy as np
import torch

from vpr_ros.compress.distill_augment import make_view
from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_default import (
    learned_from,
    LICENCE,
    NAME,
    RECALL_IS,
    recall_table,
    TEACHER,
    TEACHER_CUT,
    teacher_describer,
    TEACHER_FILE,
)
from vpr_ros.compress.distill_eval import benchmark, benchmark_pairs
from vpr_ros.compress.distill_images import source_images
from vpr_ros.compress.distill_student import convap_args
from vpr_ros.compress.distill_teacher import as_input, Basis, teacher_maps
from vpr_ros.compress.finetune_data import Pictures
from vpr_ros.compress.project import axes_of, Projection, write_along
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_run import Goal, prune_and_learn
from vpr_ros.core.card import ModelCard, Resize
from vpr_ros.core.precision import Precision
from vpr_ros.core.types import Image
from vpr_ros.datasets.halves import held_out_pairs
from vpr_ros.datasets.sequences import campus_loop
from vpr_ros.errors import VprError
from vpr_ros.nets.aggregators import ConvAP
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import default_model_folder, MANIFEST, read_card
from vpr_ros.nets.model_import import backbone_from
from vpr_ros.nets.network import build_network, Network
from vpr_ros.nets.torch_describer import load_network, TorchDescriber

_VIEWS, _AT_ONCE = 1024, 64
_DISTILL = Path('config/distill.yaml')


def prune_default(config: RunConfig, distill: DistillConfig, shared: Path, parent: Path,
                  out: Path, dim: int | None = None) -> None:
    """Prune `parent` under `out/run` and write `out/model`, which is what ships.

    `out/teacher` is made where it is not there. `dim`: of the descriptor of teacher and parent the
    strongest axes that make so many numbers are kept.
    `shared` holds `data` and `weights`. The second halves of corridor and of the laps choose;
    all other sets are only reported.
    Raises ModelError and DatasetError where weights or images are missing.
    """
    images = source_images(shared / 'data', distill, config.learn.seed)
    teacher = out / 'teacher'
    if not (teacher / MANIFEST).is_file():
        write_teacher(teacher, shared, images, parent, distill, config.learn.seed)
    lessons, judge = Pictures(images), judge_on(shared / 'data')
    begin, taught_by = (parent, teacher) if dim is None else _shortened(
        parent, teacher, lessons, Projection(dim, seed=config.learn.seed), out)
    points = prune_and_learn(begin, lessons, judge, config, Goal(map_precision=Precision.INT8),
                             out / 'run', teacher=taught_by)
    _release(out / 'run' / points[-1].folder, shared, parent, config, distill, out / 'model', dim)


def _shortened(parent: Path, teacher: Path, lessons: Pictures, wanted: Projection, out: Path
               ) -> tuple[Path, Path]:
    """Return parent and teacher along the strongest axes of the teacher, written once."""
    short = out / f'parent_{wanted.dim}', out / f'teacher_{wanted.dim}'
    if not all((folder / MANIFEST).is_file() for folder in short):
        card = read_card(teacher)
        axes = axes_of(load_network(teacher, card), card, lessons, wanted)
        for folder, made in zip((parent, teacher), short, strict=True):
            shutil.rmtree(made, ignore_errors=True)
            write_along(folder, axes, wanted, made)
    return short


def _release(folder: Path, shared: Path, parent: Path, config: RunConfig, distill: DistillConfig,
             out: Path, dim: int | None) -> None:
    """Write the last step under the name it ships by, with its whole story in the card.

    Pictures are halved before they are resized: resizing took more time than the network.
    """
    card, dense = read_card(folder), read_card(parent)
    card = replace(card, preprocessing=replace(card.preprocessing, resize=Resize.HALVED_AREA))
    network = load_network(folder, card)
    backbone = backbone_from(shared / TEACHER_FILE, TEACHER, TEACHER_CUT)
    scores, of_dense, of_teacher = (benchmark(describer, shared / 'data') for describer in (
        TorchDescriber(network, card), TorchDescriber(load_network(parent, dense), dense),
        teacher_describer(backbone, distill.grid, card.preprocessing)))
    recall = {name: {**row, 'dense_at_1': of_dense[name].at_1, 'dense_at_5': of_dense[name].at_5}
              for name, row in recall_table(scores, of_teacher).items()}
    write_model(out, network, replace(card, name=NAME, notes={
        **_origin(config, distill, dense), 'projected_to': dim, 'recall_is': RECALL_IS,
        'recall': recall}), force=True)


def _origin(config: RunConfig, distill: DistillConfig, dense: ModelCard) -> dict[str, Any]:
    learn = config.learn
    epochs = config.prune.steps * learn.epochs + learn.last_epochs
    steps = epochs * (learn.views * learn.reuse // learn.batch)
    return {
        'made_by': 'python -m vpr_ros.compress.prune_default --config config/prune_default.yaml',
        'method': 'a dense student, distilled from random initialization; '
                  f'{config.prune.sparsity:.0%} of its channels cut (group L2, uniform), inputs '
                  'refitted by least squares; then cosine to the descriptor of the teacher, in '
                  'its half-whitened principal axes',
        **learned_from(distill),
        'views': epochs * learn.views, 'steps': steps,
        'seed': learn.seed, 'config': asdict(config),
        'dense': {'name': dense.name, 'digest': dense.digest, **{
            key: dense.notes[key] for key in ('made_by', 'views', 'steps', 'seed', 'config')
            if key in dense.notes}}}


def judge_on(data: Path) -> Judge:
    """Return the judge by the sets below `data`; two held-out halves choose, as written above."""
    choosing, known = held_out_pairs(data)[:2], benchmark_pairs(data)
    return Judge([*choosing, *(known[name] for name in (
        'stromovka', 'webcams', 'corridor', 'laps')), campus_loop(data)], len(choosing))


def write_teacher(folder: Path, shared: Path, images: tuple[Image, ...], parent: Path,
                  config: DistillConfig, seed: int) -> None:
    """Write the ImageNet teacher as a network that says what the first student was taught.

    Its strongest half-whitened axes, turned to agree with `parent` as well as a rotation can
    (Schoenemann, A generalized solution of the orthogonal Procrustes problem, 1966): that leaves
    all similarities as they are, and the student need not learn new axes.
    """
    backbone = backbone_from(shared / TEACHER_FILE, TEACHER, TEACHER_CUT).eval()
    card = read_card(parent)
    student = load_network(parent, card)
    views = [make_view(images, config.input_px, np.random.default_rng((seed, i)))
             for i in range(_VIEWS)]
    maps = teacher_maps(backbone, views)
    basis = Basis.fit(maps, config.whitening)
    count = config.channels
    turn = _turn(_rows(basis.of(maps)[:, :count]), _rows(_positions(student, views)))

    network = build_network(TEACHER, TEACHER_CUT, 'convap', convap_args(config))
    network.backbone.load_state_dict(backbone.state_dict())
    axes = basis.axes[:, :count] @ turn
    with torch.no_grad():
        conv = cast(ConvAP, network.aggregator).conv
        conv.weight.copy_(axes.T[:, :, None, None])
        assert conv.bias is not None
        conv.bias.copy_(-(basis.mean @ axes))
    write_model(folder, network.eval(), card_of(
        network, 'teacher', TEACHER, TEACHER_CUT, 'convap', convap_args(config),
        card.preprocessing, LICENCE))


def _positions(student: Network, views: list[Image]) -> torch.Tensor:
    """Return what the student says at each position before it is of unit length, (B, C, h, w)."""
    conv = cast(ConvAP, student.aggregator).conv
    with torch.inference_mode():
        return torch.cat([conv(student.backbone(as_input(np.stack(views[i:i + _AT_ONCE]))))
                          for i in range(0, len(views), _AT_ONCE)])


def _rows(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _turn(said: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(said.T @ wanted)
    return torch.matmul(left, right)


def main() -> None:
    """Run from the command line; an error the user can act on is one line and exit status 2."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('--config', type=Path, required=True, help='knobs of vpr prune (YAML)')
    parser.add_argument('--distill', type=Path, default=_DISTILL,
                        help='how the dense model was made: teacher, axes, images (YAML)')
    parser.add_argument('--shared', type=Path, required=True, help='folder of data/ and weights/')
    parser.add_argument('--parent', type=Path, default=None,
                        help='the dense model folder; the one that ships, where it is not given')
    parser.add_argument('--dim', type=int, default=None,
                        help='numbers of the descriptor that are kept, along principal axes')
    parser.add_argument('--out', type=Path, required=True)
    given = parser.parse_args()
    try:
        prune_default(RunConfig.read(given.config), DistillConfig.read(given.distill),
                      given.shared, given.parent or default_model_folder(), given.out, given.dim)
    except VprError as error:
        print(f'prune: {error}', file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == '__main__':
    main()
