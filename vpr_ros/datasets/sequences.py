# SPDX-License-Identifier: Apache-2.0
"""Public image sets with ground truth, each as a run to map and a run to find in it.

The sets say which images belong together, not where they were taken. Their truth is therefore
laid out in metres so that "within `tolerance_m`" gives back the listed positives, with
`RunPair.positives` holding the list itself; stamps are made up, one second a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import csv
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages, Run, RunPair
from vpr_ros.errors import DatasetError

CAMERA = 'camera'
NEXT_FRAME_M = 1.25      # frames stand a metre apart: this one and its two neighbors
TWO_FRAMES_M = 2.25      # two neighbors on either side
LAP_FRAMES = 40          # indoor_two_laps: image 40 stands where image 0 stood
NOWHERE_M = 1000.0       # a query without a positive is put that far to the side
ANY_HEADING_DEG = 180.0
_SECOND_NS = 1_000_000_000
_WEBCAM_SPACING_M = 10.0
_CAMPUS_TOLERANCE_M = 5.0
_NORDLAND_FLAT_STD = 6.0  # below: tunnels and black frames


def stromovka_summer_winter(root: Path) -> RunPair:
    """Return the park path: summer mapped, winter found. Frame aligned, one frame either way."""
    folder = _folder(root, 'stromovka_summer_winter', 'summer/ and winter/ with NNNNNN.jpg')
    summer, winter = (_pictures(folder / season, '*.jpg') for season in ('summer', 'winter'))
    rows = [tuple(j for j in (i - 1, i, i + 1) if 0 <= j < len(summer))
            for i in range(len(winter))]
    return RunPair(
        'stromovka_summer_winter', _line('summer', summer), _line('winter', winter, day=1),
        NEXT_FRAME_M, ANY_HEADING_DEG,
        'frame-aligned traverses, map = summer, query = winter; a positive is the same frame '
        'or a neighbor (+-1)', tuple(rows))


def corridor(root: Path) -> RunPair:
    """Return the fisheye corridor: `ref` mapped, `query` found, by its lists of positives."""
    folder = _folder(root, 'corridor', 'query/, ref/ and ground_truth.json')
    mapped, asked = (_pictures(folder / part, '*.jpg') for part in ('ref', 'query'))
    rows = _corridor_truth(folder / 'ground_truth.json', len(asked), len(mapped))
    return RunPair(
        'corridor', _line('ref', mapped), _line('query', asked, lay_out(rows, len(mapped)), 1),
        TWO_FRAMES_M, ANY_HEADING_DEG,
        'map = ref, query = query; positives are the lists of the set (the reference frames '
        'q-2 to q+2)', rows)


def indoor_two_laps(root: Path) -> RunPair:
    """Return the office corridor: lap one (images 0 to 39) mapped, the other 44 images found."""
    folder = _folder(root, 'indoor_two_laps', 'images/NNN.jpg and loop_gt.png')
    files = _pictures(folder / 'images', '*.jpg')
    loops = cv2.imread(str(folder / 'loop_gt.png'), cv2.IMREAD_GRAYSCALE)
    if loops is None or loops.shape != (len(files), len(files)):
        raise DatasetError(f'{folder / "loop_gt.png"} is not a picture of {len(files)} by '
                           f'{len(files)} pixels; copy the set again')
    rows = tuple(tuple(int(j) for j in np.flatnonzero(loops[i, :LAP_FRAMES]))
                 for i in range(LAP_FRAMES, len(files)))
    first, second = files[:LAP_FRAMES], files[LAP_FRAMES:]
    return RunPair(
        'indoor_two_laps', _line('lap one', first),
        _line('lap two', second, lay_out(rows, LAP_FRAMES), 1), TWO_FRAMES_M, ANY_HEADING_DEG,
        'map = images 0 to 39 (lap one), query = images 40 to 83; positives are the loop '
        'matrix of the set, restricted to lap one', rows)


def campus_loop(root: Path) -> RunPair:
    """Return the campus: every even key-frame mapped, the odd ones between them to be found."""
    whole = campus_loop_whole(root)
    return RunPair(
        'campus_loop', part_of(whole, 'even', range(0, len(whole.images), 2)),
        part_of(whole, 'odd', range(1, len(whole.images), 2)), _CAMPUS_TOLERANCE_M,
        ANY_HEADING_DEG,
        'one traverse with measured poses, split: map = even key-frames (6.1 m apart), query = '
        'odd ones; a positive is a map frame within 5 m. Same run, same light: easy')


def campus_loop_whole(root: Path) -> Run:
    """Return the campus loop as one run with its measured poses."""
    folder = _folder(root, 'campus_loop', 'images/image_N.png and poses.csv')
    try:
        with open(folder / 'poses.csv', newline='') as stream:
            rows = [(name, float(x), float(y), float(yaw)) for name, x, y, yaw in
                    csv.reader(stream)]
    except (OSError, ValueError) as error:
        raise DatasetError(f'{folder / "poses.csv"} cannot be read as name,x,y,yaw ({error}); '
                           'copy the set again') from error
    files = [folder / 'images' / name for name, *_ in rows]
    if missing := [file.name for file in files if not file.is_file()]:
        raise DatasetError(f'{folder / "images"} lacks {missing[0]} and {len(missing) - 1} more '
                           'of poses.csv; copy the set again')
    poses = np.array([se3.from_xy_yaw(x, y, yaw) for _, x, y, yaw in rows])
    return _run('campus_loop', files, poses, 0)


def webcam_seasons(root: Path) -> RunPair:
    """Return 300 fixed webcams in two seasons; not a sequence, a positive is the same camera."""
    folder = _folder(root, 'webcam_seasons', 'query/ and ref/ with NNNN.jpg')
    mapped, asked = (_pictures(folder / part, '*.jpg') for part in ('ref', 'query'))
    poses = _along_x(_WEBCAM_SPACING_M * np.arange(len(mapped), dtype=np.float64))
    return RunPair(
        'webcam_seasons', _run('ref', mapped, poses, 0), _run('query', asked, poses, 1),
        1.0, ANY_HEADING_DEG,
        'fixed webcams, no sequence, map = ref, query = query; the positive is the same camera '
        '(i = i)', tuple((i,) for i in range(len(asked))))


def nordland_64x32(root: Path) -> RunPair:
    """Return the railway: summer mapped, winter found. Frame aligned; flat frames are dropped."""
    folder = _folder(root, 'nordland_64x32', 'nordland_64x32.npz')
    try:
        with np.load(folder / 'nordland_64x32.npz', allow_pickle=False) as arrays:
            seasons = {name: np.asarray(arrays[name]) for name in ('summer', 'winter')}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f'{folder / "nordland_64x32.npz"} does not hold summer and winter '
                           f'({error}); copy the set again') from error
    spread = [images.reshape(len(images), -1).std(axis=1) for images in seasons.values()]
    kept = np.flatnonzero(np.minimum(*spread) >= _NORDLAND_FLAT_STD)
    rows = tuple(tuple(int(i) for i in np.flatnonzero(np.abs(kept - frame) <= 1))
                 for frame in kept)
    runs = []
    for day, (name, images) in enumerate(seasons.items()):
        pictures = np.repeat(images[kept][..., None], 3, axis=3)
        runs.append(Run(name, 'map', CAMERA, None, _stamps(kept, day),
                        _along_x(kept.astype(np.float64)), None,
                        LazyImages(len(kept), _Rows(pictures))))
    return RunPair('nordland_64x32', runs[0], runs[1], NEXT_FRAME_M, ANY_HEADING_DEG,
                   'frame-aligned traverses at 64x32, map = summer, query = winter, frames that '
                   'are flat in either season dropped; a positive is the same frame or a '
                   'neighbor (+-1)', rows)


PAIRS: Mapping[str, Callable[[Path], RunPair]] = {
    reader.__name__: reader for reader in (
        stromovka_summer_winter, corridor, indoor_two_laps, campus_loop, webcam_seasons,
        nordland_64x32)}


def open_pair(name: str, root: Path) -> RunPair:
    """Return the pair of that set below `root`.

    Raises DatasetError for an unknown name, and where files are missing or do not fit.
    """
    if name not in PAIRS:
        raise DatasetError(f'no set is called {name!r}; there are {", ".join(PAIRS)}')
    return PAIRS[name](root)


def lay_out(positives: Sequence[Sequence[int]], places: int) -> se3.Array:
    """Return query poses (Q, 7) whose distance to map frame j at x = j gives the positives.

    Within TWO_FRAMES_M; a window of fewer than five frames is made narrower by a step to the
    side. Of two windows apart only one can be near: the larger. A query without positives goes
    NOWHERE_M to the side.
    """
    frame = np.arange(places)
    x, y = (grid.ravel() for grid in np.meshgrid(
        np.arange(-2.0, places + 2.0, 0.5), [0.0, 0.75, 1.5, 2.0], indexing='ij'))
    near = np.hypot(x[:, None] - frame, y[:, None]) <= TWO_FRAMES_M
    poses = _along_x(np.zeros(len(positives)))
    for row, listed in enumerate(positives):
        wanted = np.isin(frame, listed)
        # Most listed, fewest others, then as straight and as central as can be.
        center = float(np.mean(listed)) if listed else 0.0
        score = 1000 * ((near & wanted).sum(axis=1) - (near & ~wanted).sum(axis=1)) - (
            10 * y + np.abs(x - center))
        best = int(score.argmax())
        poses[row, :2] = (x[best], y[best]) if listed else (center, NOWHERE_M)
    return poses


def part_of(run: Run, name: str, rows: Sequence[int]) -> Run:
    """Return the frames `rows` of a run as a run."""
    index = np.asarray(rows)
    return Run(f'{run.name} {name}', run.frame_id, run.camera, run.base_from_camera,
               run.stamps_ns[index], run.map_from_base[index], run.odometry,
               LazyImages(len(index), _Picked(run.images, index)))


class _Files:
    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __call__(self, index: int) -> Image:
        picture = cv2.imread(str(self._files[index]), cv2.IMREAD_COLOR)
        if picture is None:
            raise DatasetError(f'{self._files[index]} is not a picture; copy the set again')
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


class _Rows:
    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._pictures = pictures

    def __call__(self, index: int) -> Image:
        picture: Image = self._pictures[index]
        return picture


class _Picked:
    def __init__(self, images: Sequence[Image], rows: NDArray[np.intp]) -> None:
        self._images, self._rows = images, rows

    def __call__(self, index: int) -> Image:
        return self._images[int(self._rows[index])]


def _folder(root: Path, name: str, expected: str) -> Path:
    folder = Path(root) / name
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not there; expected {name}/ with {expected} below '
                           f'{root}')
    return folder


def _pictures(folder: Path, pattern: str) -> list[Path]:
    files = sorted(folder.glob(pattern))
    if not files:
        raise DatasetError(f'{folder} holds no {pattern}; copy the set again')
    return files


def _corridor_truth(file: Path, queries: int, places: int) -> tuple[tuple[int, ...], ...]:
    try:
        listed = {int(query): tuple(int(j) for j in found)
                  for query, found in json.loads(file.read_text())['gt']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f'{file} does not hold lists of positives ({error}); copy the set '
                           'again') from error
    rows = tuple(listed.get(query, ()) for query in range(queries))
    if max((j for row in rows for j in row), default=0) >= places:
        raise DatasetError(f'{file} names frames beyond the {places} of ref/; copy the set again')
    return rows


def _along_x(x_m: NDArray[np.float64]) -> se3.Array:
    poses = np.tile(se3.IDENTITY, (len(x_m), 1))
    poses[:, 0] = x_m
    return poses


def _stamps(frames: NDArray[np.intp], day: int) -> NDArray[np.int64]:
    return ((1_000_000 + day * 86_400 + frames) * _SECOND_NS).astype(np.int64)


def _line(name: str, files: Sequence[Path], poses: se3.Array | None = None, day: int = 0) -> Run:
    if poses is None:
        poses = _along_x(np.arange(len(files), dtype=np.float64))
    return _run(name, files, poses, day)


def _run(name: str, files: Sequence[Path], poses: se3.Array, day: int) -> Run:
    return Run(name, 'map', CAMERA, None, _stamps(np.arange(len(files)), day), poses, None,
               LazyImages(len(files), _Files(files)))
