# SPDX-License-Identifier: Apache-2.0
"""What a user names to learn from and to be judged on -> pictures, places and labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vpr_ros.compress.finetune_data import Labelled, Lessons, Pictures
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.types import Image
from vpr_ros.datasets.places import joined
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.world import training_images
from vpr_ros.datasets.world_places import world_places
from vpr_ros.errors import DatasetError, VprError
from vpr_ros.tools.bag_places import bag_places
from vpr_ros.tools.named_set import NamedSet
from vpr_ros.tools.picture_source import BagCamera, folder_pictures, is_bag
from vpr_ros.tools.quantize_model import pair_of

WORLD, BAG = 'world', 'bag'
WORLD_PX = (320, 448)
_HELD_OUT = 5        # each n-th picture judges, where nothing else does
_MOST_JUDGES = 200
_MOST = 20_000       # pictures of one bag or folder


@dataclass(frozen=True)
class LessonSource:
    """What to learn from, and what judges where no set is named for it.

    `pictures`: bags and folders of pictures, without labels. With `truth` the first is a bag with
    poses, which judges as well: with `query`, another bag, or else by its later half, which is not
    learned from. `places`: labelled sets as layout=folder; bag=path (by `truth`), or the word
    world. `world`: so many rendered images beside the pictures, or worlds of places.
    """

    pictures: tuple[Path, ...] = ()
    topic: str = ''
    truth: str = ''
    query: Path | None = None
    places: tuple[str, ...] = ()
    world: int = 0
    seed: int = 0
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        if self.pictures and self.places:
            raise VprError('--images are learned from without labels, --places with them; give '
                           'one of the two')
        if not (self.pictures or self.places or self.world):
            raise VprError('there is nothing to learn from; give --images (bags or folders of '
                           'pictures like what the robot sees), --places (a labelled set) or '
                           '--world (a number of rendered images)')
        if self.query and not (self.truth and self.pictures):
            raise VprError('--query is a second bag; give the first with --images and its poses '
                           'with --truth, a topic or tf')
        if not self.truth and any(text.startswith(f'{BAG}=') for text in self.places):
            raise VprError('places of a bag are made by its poses; say with --truth which topic '
                           'has them, or tf')
        # What judges is a part of the first bag, or the query.
        paths = [path.resolve() for path in (*self.pictures, self.query) if path is not None]
        judges = paths[0] if self.query is None and paths else paths[-1] if paths else None
        if self.truth and judges is not None and paths.count(judges) > 1:
            raise VprError(f'{judges} judges and would be learned from as well; name it once')
        if self.world < 0:
            raise VprError(f'--world must not be negative, not {self.world}')

    def lessons(self, per_place: int, judged: bool) -> tuple[Lessons, list[RunPair]]:
        """Return the lessons, and the pair that judges unless it is `judged` by named sets.

        Raises VprError for what is not there or holds nothing to learn from.
        """
        if self.places:
            if not judged:
                raise VprError('all of --places is learned from; say with --validate what judges')
            return self._labelled(per_place), []
        world = tuple(training_images(self.seed, self.world, WORLD_PX)) if self.world else ()
        if self.truth:
            camera = BagCamera(self.pictures[0], self.topic, self.truth)
            pair = pair_of(camera, self.query, self.tolerance, _MOST)
            images = [*pair.mapping.images, *self._images(self.pictures[1:])]
            return Pictures([*images, *world]), [] if judged else [pair]
        images = self._images(self.pictures)
        if judged:
            return Pictures([*images, *world]), []
        held = (images or world)[::_HELD_OUT][:_MOST_JUDGES]
        rest = [image for row, image in enumerate(images or world)
                if row % _HELD_OUT or row // _HELD_OUT >= _MOST_JUDGES]
        return Pictures([*rest, *(world if images else ())]), [self_labelled(held)]

    def _labelled(self, per_place: int) -> Labelled:
        found = []
        for text in self.places:
            if text == WORLD:
                found.append(world_places(self.seed, max(self.world, 1)))
                continue
            named = NamedSet.parse(text)
            found.append(bag_places([BagCamera(named.root, self.topic, self.truth)])
                         if named.layout == BAG else named.places())
        places = joined('places', found)
        return Labelled(places.images, places.place_of, per_place)

    def _images(self, paths: Sequence[Path]) -> list[Image]:
        found: list[Image] = []
        for path in paths:
            if not path.exists():
                raise DatasetError(f'there is no {path}; check the path')
            found += (BagCamera(path, self.topic).images(_MOST) if is_bag(path)
                      else folder_pictures(path, _MOST))
        return found


def judging_pairs(texts: Sequence[str]) -> list[RunPair]:
    """Return the sets that were named; raises VprError for one that cannot be read."""
    return [NamedSet.parse(text).pair() for text in texts]
