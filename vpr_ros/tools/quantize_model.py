# SPDX-License-Identifier: Apache-2.0
"""A model and pictures -> the model in int8, judged on a labelled set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.compress.quantize import MAX_RECALL_DROP_POINTS, quantize, Quantized
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.folder import refuse_existing
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import Run, RunPair
from vpr_ros.datasets.sequences import open_pair, part_of
from vpr_ros.errors import DatasetError, ModelError, VprError
from vpr_ros.tools.picture_source import BagCamera, folder_pictures, is_bag

if TYPE_CHECKING:
    from vpr_ros.compress.quantize_aware import Learning

COUNT = 256    # images to measure scales on; as many again to judge
_TURNED = 0.95  # cosine to the parent's
FEWEST = 8     # a half of them measures, the other judges


@dataclass(frozen=True)
class Labels:
    """What judges: poses of the bag, if it has them, and a second bag; or a known set."""

    query: Path | None = None     # a second bag; without: the later half of the first
    set_name: str = ''
    shared: Path | None = None    # folder of the known sets
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        if self.set_name and self.query:
            raise VprError('--set has a truth of its own; leave --truth and --query out')
        if bool(self.set_name) != (self.shared is not None):
            raise VprError('--set names a set below --shared; give both, such as --set corridor '
                           '--shared ../shared')


def quantize_model(model: Path, camera: BagCamera, out: Path, labels: Labels, *,
                   count: int = COUNT, form: str = 'both',
                   max_drop_points: float = MAX_RECALL_DROP_POINTS,
                   learning: Learning | None = None, force: bool = False,
                   say: Callable[[str], object] = lambda text: None) -> Quantized:
    """Write the int8 model `out` as `quantize` does, from a bag or (`camera.path`) pictures.

    Without labels, every other image is held out and labelled by itself.
    Raises VprError for pictures, labels or a model that cannot be used; nothing is written then.
    """
    refuse_existing(out, force, ModelError)
    if count < FEWEST:
        raise VprError(f'--count must be {FEWEST} or more, not {count}')
    if not camera.path.exists():
        raise DatasetError(f'there is no {camera.path}; check the path')
    images, pair = _images_and_pair(camera, labels, count)
    return quantize(model, images, pair, out, form=form, max_drop_points=max_drop_points,
                    source=camera.path.name, learning=learning, force=force, say=say)


def _images_and_pair(camera: BagCamera, labels: Labels, count: int
                     ) -> tuple[Sequence[Image], RunPair]:
    if labels.query and not camera.truth:
        raise VprError('--query needs poses to compare with; give --truth, a topic or tf')
    if camera.truth:
        if labels.set_name:
            raise VprError('--set has a truth of its own; leave --truth and --query out')
        if not is_bag(camera.path):
            raise VprError(f'--truth is a topic in a bag, and {camera.path} is a folder of '
                           'pictures; give a bag, or --set')
        pair = pair_of(camera, labels.query, labels.tolerance, count)
        return pair.mapping.images, pair
    if labels.set_name and labels.shared is not None:
        return _images(camera, count), _known(labels.set_name, labels.shared)
    images = _images(camera, 2 * count)
    if len(images) < 2 * FEWEST:
        raise DatasetError(f'{camera.path} holds {len(images)} images; half of them measure and '
                           f'half judge, so {2 * FEWEST} or more are needed')
    return images[::2], self_labelled(images[1::2])


def pair_of(camera: BagCamera, query: Path | None, tolerance: Tolerance, count: int) -> RunPair:
    """Return two bags with poses as a pair, or the halves of one; up to `count` images each."""
    if query is not None:
        return _pair(camera.run(count), replace(camera, path=query).run(count), tolerance,
                     'map = the first bag, query = the second')
    whole = camera.run(2 * count)
    half = len(whole.images) // 2
    return _pair(part_of(whole, 'earlier half', range(half)),
                 part_of(whole, 'later half', range(half, len(whole.images))), tolerance,
                 'map = the earlier half of the bag, query = the later')


def _images(camera: BagCamera, count: int) -> Sequence[Image]:
    if is_bag(camera.path):
        return camera.images(count)
    return folder_pictures(camera.path, count)


def _pair(mapping: Run, asked: Run, tolerance: Tolerance, split: str) -> RunPair:
    if mapping.frame_id != asked.frame_id:
        raise DatasetError(f'the poses of {mapping.name} are in frame {mapping.frame_id}, those '
                           f'of {asked.name} in {asked.frame_id}; they cannot be compared')
    return RunPair(asked.name, mapping, asked, tolerance.m, tolerance.deg,
                   f'{split}; a positive is a map image within {tolerance.m:g} m and '
                   f'{tolerance.deg:g} deg of the true pose')


def _known(name: str, shared: Path) -> RunPair:
    return open_pair(name, shared / 'data' if (shared / 'data').is_dir() else shared)


def quantized_lines(done: Quantized, out: Path) -> Iterator[str]:
    """Yield what a person should know of an int8 model."""
    for each in done.judged:
        v = each.verdict
        yield (f'{each.engine} int8: recall@1 {v.at_1:.3f} (float {v.parent_at_1:.3f}), @5 '
               f'{v.at_5:.3f} ({v.parent_at_5:.3f}) over {v.queries} queries; cosine to float '
               f'{v.cosine["p50"]:.4f} at the median, {v.cosine["min"]:.4f} at least')
    if any(each.verdict.cosine['p05'] < _TURNED for each in done.judged):
        yield ('some vectors turned far, although recall may not show it: give more images, of '
               'what the robot will see')
    if done.card.notes['forced']:
        yield 'written although recall falls by more than allowed: --force'
    yield f'written to {out}, model {done.card.digest[:12]}: another one than its parent'
    yield (f'maps of the parent do not fit: build them again with --model {out}, and describe '
           'with the same engine on the robot')
