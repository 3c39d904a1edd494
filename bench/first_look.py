# SPDX-License-Identifier: Apache-2.0
"""The first look of the shared data's README again, by this project's own way to numbers.

`python bench/first_look.py --shared ../shared [--work DIR] [--markdown]`

Each row is imported with `vpr model import`'s function, describes every image by its exported
graph, and is searched and scored as `vpr evaluate` does with image sets. Printed: our number, the
README's, and the difference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.core.map_setting import EncodedMap, MapSetting
from vpr_ros.core.set_scores import score_set
from vpr_ros.core.types import Image
from vpr_ros.datasets import sequences
from vpr_ros.datasets.file_runs import file_run
from vpr_ros.datasets.halves import restricted
from vpr_ros.datasets.pictures import decode, find_pictures
from vpr_ros.datasets.run import RunPair
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.nets.model_import import import_torchvision
from vpr_ros.tools.progress import progress
from vpr_ros.tools.set_descriptions import describe_images

DIAGONAL = 11
SIZE_PX = 224
LAP_ONE = 41   # images of indoor_two_laps that the README maps: its shares are of 43 queries
NORDLAND_FRAMES = 1000
WEIGHTS = 'weights/mobilenet_v2/mobilenet_v2_dequant_torchvision.pth'
Similarity = NDArray[np.float32]
Shares = tuple[float | None, ...]


@dataclass(frozen=True)
class Row:
    """A descriptor and what the README says of it: recall@1 and @5 by set, `seq`."""

    name: str
    cut: str          # '' for the patch-normalized image
    aggregator: str
    grid: int
    said: tuple[Shares, ...]            # (@1, @5) by set
    seq: float | None = None            # stromovka
    nordland: Shares = ()               # (@1, @5, seq), as far as it is said


ROWS = (
    Row('last layer, GeM', 'features.18', 'gem', 0,
        ((.08, .32), (.57, .90), (.98, 1.00), (.45, .61)), .28),
    Row('features[:15], GeM', 'features.14', 'gem', 0,
        ((.19, .41), (.71, .94), (.81, .98), (.57, .68)), .22, (.05,)),
    Row('features[:15], 2x2', 'features.14', 'grid', 2,
        ((.27, .65), (.92, 1.00), (.95, .98), (.60, .73)), .68),
    Row('features[:15], 3x3', 'features.14', 'grid', 3,
        ((.40, .77), (.96, 1.00), (.93, .98), (.63, .75)), .80),
    Row('features[:15], 4x4', 'features.14', 'grid', 4,
        ((.45, .76), (.93, 1.00), (.91, .98), (.66, .79)), .93),
    Row('features[:15], 7x7', 'features.14', 'grid', 7,
        ((.43, .74), (.89, 1.00), (.91, .95), (.75, .85)), .84, (.32, .43, .44)),
    Row('64x32 patches, SAD', '', '', 0,
        ((.16, .38), (.40, .69), (.48, .74), (.52, .66)), .22, (.32, .46, .71)),
)


def patch_normalized(image: Image) -> NDArray[np.float32]:
    """Return a picture in grey at 64x32, each 8x8 patch to mean 0 and deviation 1, flat.

    As SeqSLAM (Milford and Wyeth, ICRA 2012).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (64, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    patches = small.reshape(4, 8, 8, 8).transpose(0, 2, 1, 3).reshape(32, 64)
    spread = patches.std(axis=1, keepdims=True)
    flat = (patches - patches.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-3)
    return np.asarray(flat.ravel(), np.float32)


def absolute_differences(pair: RunPair) -> Similarity:
    """Return the negative mean absolute difference of every query to every place (Q, N)."""
    places = np.stack([patch_normalized(image) for image in pair.mapping.images])
    return np.stack([-np.abs(places - patch_normalized(image)).mean(axis=1)
                     for image in pair.query.images])


def diagonal_mean(similarity: Similarity, length: int = DIAGONAL) -> Similarity:
    """Return the mean along a diagonal of `length` around each pair, of what lies inside."""
    total, count = np.zeros_like(similarity), np.zeros_like(similarity)
    queries, places = similarity.shape
    for step in range(-(length // 2), length // 2 + 1):
        q = slice(max(0, -step), min(queries, queries - step))
        p = slice(max(0, -step), min(places, places - step))
        q_from = slice(q.start + step, q.stop + step)
        p_from = slice(p.start + step, p.stop + step)
        total[q, p] += similarity[q_from, p_from]
        count[q, p] += 1.0
    return np.asarray(total / count, np.float32)


def recalls(similarity: Similarity, pair: RunPair) -> tuple[float, float]:
    """Return recall@1 and @5 of a matrix (Q, N), over the queries with a positive."""
    places = np.argsort(-similarity, axis=1, kind='stable')[:, :20].astype(np.int64)
    values = np.take_along_axis(similarity, places, axis=1)
    return _scored(places, values, pair)


def _scored(places: NDArray[np.int64], values: Similarity, pair: RunPair) -> tuple[float, float]:
    scores = score_set(places, values, pair.positives or pair.metric_positives())
    assert scores.recall_at_1 is not None
    assert scores.recall_at_5 is not None
    return scores.recall_at_1, scores.recall_at_5


def by_model(row: Row, weights: Path, work: Path, pair: RunPair
             ) -> tuple[tuple[float, float], Similarity]:
    """Return the recalls by the product's search, and the whole matrix for sequences.

    Pictures that shrink are averaged (area), those that grow interpolated (bilinear): the reading
    of the README under which most of its numbers come out.
    """
    grows = pair.mapping.images[0].shape[1] < SIZE_PX
    resize = Resize.BILINEAR if grows else Resize.AREA
    model = work / '-'.join((row.cut, row.aggregator, str(row.grid), resize.value))
    if not model.exists():
        import_torchvision(weights, 'mobilenet_v2', row.cut, row.aggregator, model,
                           aggregator_args={'grid': row.grid} if row.grid else {},
                           preprocessing=Preprocessing(SIZE_PX, SIZE_PX, resize))
    describer, cache = load_describer(model, threads=1, engine='onnxruntime'), work / 'described'
    mapped, asked = (describe_images(run.images, describer, cache).descriptors
                     for run in (pair.mapping, pair.query))
    found = EncodedMap(mapped, MapSetting()).search(asked, 20)
    return _scored(*found, pair), np.asarray(asked @ mapped.T)


def pairs_of(data: Path) -> Iterator[RunPair]:
    """Yield the sets of the table, and the first frames of Nordland."""
    yield sequences.stromovka_summer_winter(data)
    yield sequences.corridor(data)
    yield two_laps(data)
    yield sequences.webcam_seasons(data)
    whole = sequences.nordland_64x32(data)
    rows = range(min(NORDLAND_FRAMES, len(whole.mapping.images)))
    yield restricted(whole, rows, rows)


def two_laps(data: Path) -> RunPair:
    """Return the office corridor cut after LAP_ONE images, by the loop matrix of the set."""
    folder = data / 'indoor_two_laps'
    files = find_pictures(folder / 'images')
    loops = decode(folder / 'loop_gt.png')[..., 0]
    rows = tuple(tuple(int(j) for j in np.flatnonzero(loops[i, :LAP_ONE]))
                 for i in range(LAP_ONE, len(files)))
    return RunPair('laps', file_run('lap one', files[:LAP_ONE]),
                   file_run('lap two', files[LAP_ONE:], day=1), 1.0, 180.0,
                   f'map = images 0 to {LAP_ONE - 1}, by the loop matrix', rows)


@dataclass(frozen=True)
class Cell:
    """One number: ours and the README's."""

    what: str
    ours: float
    said: float


def cells_of(row: Row, pairs: Sequence[RunPair],
             measure: Callable[[RunPair], tuple[tuple[float, float], Similarity]]
             ) -> Iterator[Cell]:
    """Yield every number of a row that the README gives."""
    for pair, said in zip(pairs, (*row.said, row.nordland), strict=True):
        if not said:
            continue
        found, similarity = measure(pair)
        name = pair.name.split('_')[0].split(' ')[0]
        for n, ours, theirs in zip((1, 5), found, said, strict=False):
            if theirs is not None:
                yield Cell(f'{name} @{n}', ours, theirs)
        seq = row.seq if pair is pairs[0] else (said[2] if len(said) > 2 else None)
        if seq is not None:
            yield Cell(f'{name} seq', recalls(diagonal_mean(similarity), pair)[0], seq)


def first_look(shared: Path, work: Path) -> Iterator[tuple[Row, list[Cell]]]:
    """Yield each row with its numbers; models and descriptions are kept in `work`."""
    pairs = list(pairs_of(shared / 'data'))
    for row in progress(ROWS, len(ROWS), 'first look'):
        measure = partial(by_model, row, shared / WEIGHTS, work) if row.cut else _by_difference
        yield row, list(cells_of(row, pairs, measure))


def _by_difference(pair: RunPair) -> tuple[tuple[float, float], Similarity]:
    similarity = np.asarray(absolute_differences(pair), np.float32)
    return recalls(similarity, pair), similarity


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--work', type=Path, help='keep models and descriptions here')
    parser.add_argument('--markdown', action='store_true')
    flags = parser.parse_args()
    with TemporaryDirectory() as scratch:
        found = list(first_look(flags.shared, flags.work or Path(scratch)))
    table = Table('descriptor', *(header for header in _headers(found)), box=None)
    for row, cells in found:
        by_name = {cell.what: cell for cell in cells}
        line = [row.name, *(_told(by_name.get(name)) for name in _headers(found))]
        if flags.markdown:
            print('| ' + ' | '.join(line) + ' |')
        table.add_row(*line)
    if not flags.markdown:
        Console(width=200).print(table)
    gaps = [abs(cell.ours - cell.said) for _, cells in found for cell in cells]
    print(f'{len(gaps)} numbers, ours (the README): they differ by at most {max(gaps):.3f}, '
          f'{np.mean(gaps):.3f} on average; {sum(gap <= 0.0101 for gap in gaps)} within .01')


def _headers(found: Sequence[tuple[Row, list[Cell]]]) -> list[str]:
    return list(dict.fromkeys(cell.what for _, cells in found for cell in cells))


def _told(cell: Cell | None) -> str:
    return '' if cell is None else f'{cell.ours:.3f} ({cell.said:.2f})'.replace('0.', '.')


if __name__ == '__main__':
    main()
