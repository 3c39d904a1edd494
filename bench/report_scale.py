# SPDX-License-Identifier: Apache-2.0
"""What a long run costs after it was described: searching, scoring, the folder, and its page.

`python bench/report_scale.py [--queries 20000] [--places 10000] [--dim 512]`: the made-up run of
scoring_scale.py with random descriptors, and with a picture for each frame and place.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import tempfile
from time import perf_counter, process_time

import cv2
import numpy as np
from numpy.typing import NDArray
from scoring_scale import made_up, timed

from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.map_setting import EncodedMap, MapSetting
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import report_on, Tolerance
from vpr_ros.core.types import Camera
from vpr_ros.report.page import write_page
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.evaluation_folder import fill_folder

_DIGEST = '0' * 64


def unit_rows(count: int, dim: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return random descriptors (count, dim)."""
    rows = rng.normal(size=(count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def pictures(count: int, rng: np.random.Generator) -> tuple[bytes, ...]:
    """Return JPEGs of 160x120 pixels and some 5 kB, as of a camera; neighbors share one."""
    drawn = []
    for _ in range(200):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
        drawn.append(cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, 80))[1].tobytes())
    return tuple(drawn[row * len(drawn) // count] for row in range(count))


def main() -> None:
    """Print the seconds of each part and the most memory that the process held so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--queries', type=int, default=20_000)
    parser.add_argument('--places', type=int, default=10_000)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--seed', type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    frames, poses = made_up(asked.queries, asked.places, 10, asked.seed)
    card = ModelCard(name='random', backbone='none', cut='none', aggregator='none',
                     aggregator_args={}, widths={}, dim=asked.dim,
                     preprocessing=Preprocessing(16, 16), digest=_DIGEST)
    rows = np.zeros(asked.places, np.int32)
    place_map = PlaceMap('map', card, (Camera('front'),), unit_rows(asked.places, asked.dim, rng),
                         poses, np.arange(asked.places, dtype=np.int64), rows, rows, ('made up',),
                         pictures(asked.places, rng))
    descriptors, seen = unit_rows(asked.queries, asked.dim, rng), pictures(asked.queries, rng)
    with tempfile.TemporaryDirectory() as scratch:
        map_path, folder = Path(scratch, 'made_up.map'), Path(scratch, 'made_up.eval')
        place_map.save(map_path)
        folder.mkdir()
        started, worked = perf_counter(), process_time()
        with timed('search, exactly'):
            EncodedMap(np.asarray(place_map.descriptors), MapSetting()).search(descriptors, 10)
        with timed('score'):
            scores = score_frames(frames, poses, Tolerance())
            report = report_on(scores, Counter(frame.outcome.reason.value for frame in frames))
        with timed('write the folder'):
            fill_folder(folder, Evaluation(report, tuple(frames), scores, (), 0.7, None, poses,
                                           seen, descriptors), place_map,
                        {'map': str(map_path), 'threshold': 0.7})
        with timed('make the page'):
            page = write_page(folder, map_path)
        print(f'{"all of it":<34} {perf_counter() - started:7.2f} s, of the processor '
              f'{process_time() - worked:.2f} s; '
              f'{page.name} of {page.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
