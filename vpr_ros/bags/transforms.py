# SPDX-License-Identifier: Apache-2.0
"""/tf and /tf_static of a recording, looked up as tf2 does but without extrapolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.samples import Samples
from vpr_ros.bags.wire import TF_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.trajectory_lookup import poses_at, refuse_gaps, seconds
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError


class Link(NamedTuple):
    """One edge of the tree of frames."""

    parent: str
    child: str

    def __str__(self) -> str:
        return f'{self.parent} -> {self.child}'


class _Path(NamedTuple):
    """The links that join two frames, each list from its frame up to the common ancestor."""

    up_from_target: list[Link]
    up_from_source: list[Link]

    @property
    def links(self) -> list[Link]:
        return self.up_from_target + self.up_from_source


class Transforms:
    """The links of a recording: static ones, and moving ones with their samples."""

    def __init__(self) -> None:
        self.static: dict[Link, Samples] = {}
        self.moving: dict[Link, Samples] = {}

    @classmethod
    def read(cls, recording: Recording, moving: str | None = '/tf',
             static: str = '/tf_static') -> Transforms:
        """Return the transforms on these topics; a topic that is not there is left out."""
        transforms = cls()
        wanted = {static: transforms.static}
        if moving is not None:
            wanted[moving] = transforms.moving
        there = [name for name in wanted if name in recording.topics
                 and recording.topics[name].type in TF_TYPES]
        for message, decoded in recording.decoded(there):
            links = wanted[message.topic]
            for stamped in decoded.transforms:
                link = Link(stamped.header.frame_id.lstrip('/'),
                            stamped.child_frame_id.lstrip('/'))
                if (samples := links.get(link)) is None:
                    samples = links[link] = Samples(f'the transform {link}')
                samples.add(message.bag, stamped.header.stamp, stamped.transform.translation,
                            stamped.transform.rotation)
        return transforms

    def frames(self) -> list[str]:
        """Return the names of all frames."""
        return sorted({name for link in (*self.static, *self.moving) for name in link})

    def fixed(self, target: str, source: str) -> se3.Array | None:
        """Return `target_from_source` (7,) if static transforms alone join the two, else None.

        Raises BagError when a link has two different static transforms, and for loops.
        """
        only_static = Transforms()
        only_static.static = {link: s for link, s in self.static.items()
                              if link not in self.moving}
        known = only_static.frames()
        if target not in known or source not in known:
            return None
        path = only_static._path(target, source)
        if path is None or not path.links:
            return None
        down = _chained([only_static._fixed_link(link) for link in path.up_from_source])
        up = _chained([only_static._fixed_link(link) for link in path.up_from_target])
        return se3.compose(se3.inverse(up), down)

    def trajectory(self, target: str, source: str, max_gap_s: float) -> Trajectory:
        """Return `target_from_source` at every sample of the moving links between the two.

        Every link is interpolated (lerp and slerp) and never extrapolated, so the trajectory ends
        where the first link ends. Static links hold at all times.
        Raises BagError for an unknown frame, frames that are not joined, loops, two parents, and
        for a link that has a gap of more than `max_gap_s`.
        """
        for name in (target, source):
            if name not in (frames := self.frames()):
                raise BagError(f'no frame {name!r} in /tf or /tf_static; '
                               f'frames there: {", ".join(frames) or "none"}')
        path = self._path(target, source)
        if path is None:
            raise BagError(f'{target} and {source} are not joined by /tf and /tf_static; links '
                           f'there: {", ".join(map(str, sorted({*self.static, *self.moving})))}')
        moving = {link: self.moving[link].trajectory(link.parent)
                  for link in path.links if link in self.moving}
        if not moving:
            raise BagError(f'{target} and {source} are joined by static transforms only, which '
                           'is no trajectory; is the right base frame chosen?')
        start_ns = max(int(link.stamps_ns[0]) for link in moving.values())
        end_ns = min(int(link.stamps_ns[-1]) for link in moving.values())
        if start_ns > end_ns:
            raise BagError(f'the transforms {", ".join(map(str, moving))} do not overlap in time: '
                           f'one starts at {seconds(start_ns)}, one ends at {seconds(end_ns)}')
        stamps_ns = np.unique(np.concatenate([t.stamps_ns for t in moving.values()]))
        stamps_ns = stamps_ns[(stamps_ns >= start_ns) & (stamps_ns <= end_ns)]
        inside = np.ones(len(stamps_ns), np.bool_)
        poses: dict[Link, se3.Array] = {}
        for link, known in moving.items():
            refuse_gaps(_between(known, start_ns, end_ns), max_gap_s, f'the transform {link}')
            poses[link], there = poses_at(known, stamps_ns, max_gap_s, f'the transform {link}')
            inside &= there
        down = _chained([poses[link][inside] if link in poses else self._fixed_link(link)
                         for link in path.up_from_source])
        up = _chained([poses[link][inside] if link in poses else self._fixed_link(link)
                       for link in path.up_from_target])
        stamps_ns = stamps_ns[inside]
        return Trajectory(stamps_ns, se3.compose(se3.inverse(up), down), target,
                          _breaks(stamps_ns, list(moving.values())))

    def _path(self, target: str, source: str) -> _Path | None:
        """Return the links between two frames, or None where they have no common ancestor."""
        up_from_target, up_from_source = self._ancestry(target), self._ancestry(source)
        above_target = [target] + [link.parent for link in up_from_target]
        above_source = [source] + [link.parent for link in up_from_source]
        for steps, frame in enumerate(above_source):
            if frame in above_target:
                return _Path(up_from_target[:above_target.index(frame)], up_from_source[:steps])
        return None

    def _ancestry(self, frame: str) -> list[Link]:
        """Return the links from a frame up to its root."""
        links: list[Link] = []
        seen = [frame]
        while True:
            parents = sorted({link.parent for link in (*self.static, *self.moving)
                              if link.child == seen[-1]})
            if not parents:
                return links
            if len(parents) > 1:
                raise BagError(f'frame {seen[-1]!r} has several parents, {", ".join(parents)}, '
                               'so its pose is ambiguous; take the odometry topic instead')
            if parents[0] in seen:
                raise BagError('the transforms run in a loop, '
                               f'{" -> ".join([parents[0], *reversed(seen)])}; '
                               'take an odometry topic instead')
            links.append(Link(parents[0], seen[-1]))
            seen.append(parents[0])

    def _fixed_link(self, link: Link) -> se3.Array:
        samples = self.static[link]
        if samples.differ():
            raise BagError(f'/tf_static says two different things of {link}; '
                           'use bags of one and the same mounting at a time')
        return samples.latest()


def _chained(links: Sequence[se3.Array]) -> se3.Array:
    """Return `ancestor_from_frame` of links that lead from a frame up to its ancestor."""
    pose = se3.IDENTITY
    for parent_from_child in links:
        pose = se3.compose(parent_from_child, pose)
    return pose


def _between(trajectory: Trajectory, start_ns: int, end_ns: int) -> Trajectory:
    """Return the rows that are needed between two moments (one beyond each end)."""
    first = max(int(np.searchsorted(trajectory.stamps_ns, start_ns, 'right')) - 1, 0)
    last = int(np.searchsorted(trajectory.stamps_ns, end_ns)) + 1
    return Trajectory(trajectory.stamps_ns[first:last], trajectory.poses[first:last],
                      trajectory.frame_id,
                      tuple(row - first for row in trajectory.breaks if first < row < last))


def _breaks(stamps_ns: NDArray[np.int64],
            links: Sequence[Trajectory]) -> tuple[int, ...]:
    """Return the rows before which some link passes into another recording."""
    rows = {int(np.searchsorted(stamps_ns, link.stamps_ns[row - 1], 'right'))
            for link in links for row in link.breaks}
    return tuple(sorted(row for row in rows if 0 < row < len(stamps_ns)))
