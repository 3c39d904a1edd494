# SPDX-License-Identifier: Apache-2.0
"""What it costs to score a long run: seconds and memory for a made-up evaluation.

`python bench/scoring_scale.py [--queries 20000] [--places 10000] [--matches 10]`: a robot walks at
random through a map that it drew the day before; nothing is described.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import resource
from time import perf_counter

import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.positives import positive_pairs
from vpr_ros.core.score_curves import curves_of
from vpr_ros.core.scoring import JudgedFrame, score, Tolerance
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, Timing

_COVARIANCE = np.eye(6)


def walk(count: int, step_m: float, rng: np.random.Generator) -> se3.Array:
    """Return poses (count, 7) of a robot that drives on and turns a little with each step."""
    yaw = np.cumsum(rng.normal(0.0, 0.02, count))
    xy = np.cumsum(step_m * np.stack([np.cos(yaw), np.sin(yaw)], axis=1), axis=0)
    zero = np.zeros(count)
    return np.column_stack([xy, zero, zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)])


def made_up(queries: int, places: int, matches: int, seed: int
            ) -> tuple[list[JudgedFrame], se3.Array]:
    """Return frames along the places of a map, of which most are found, and the places."""
    rng = np.random.default_rng(seed)
    known = walk(places, 0.5, rng)
    frames = []
    for row, at in enumerate(np.linspace(0, places - 1, queries).astype(np.int64)):
        truth = known[at].copy()
        truth[:2] += rng.normal(0.0, 0.3, 2)
        is_found = bool(np.sin(row / 300.0) > -0.8)
        best = int(at) if is_found else int(rng.integers(places))
        rank = np.clip(best + np.arange(matches) * rng.integers(-3, 4), 0, places - 1)
        similarity = np.sort(rng.uniform(0.2, 0.9, matches))[::-1]
        pose = known[best].copy()
        pose[:2] += rng.normal(0.0, 0.2, 2)
        sure = float(rng.beta(8, 1) if is_found else rng.beta(2, 3))
        stamp_ns = row * 100_000_000
        frames.append(JudgedFrame(Outcome(
            stamp_ns, 'front', tuple(map(Match, rank.tolist(), similarity.tolist())),
            (Hypothesis(stamp_ns, 'map', pose, _COVARIANCE, sure),),
            Reason.ACCEPTED if sure > 0.7 else Reason.WEAK, 1.0 - sure,
            timing=Timing(10.0, 1.0, 2.0)), truth, 15.0, 2.0))
    return frames, known


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print what a block took, and the most memory so far."""
    started = perf_counter()
    yield
    print(f'{what:<34} {perf_counter() - started:7.2f} s, peak {_peak_mib():6.0f} MiB')


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    """Print the seconds of each part and the most memory that the process held so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--queries', type=int, default=20_000)
    parser.add_argument('--places', type=int, default=10_000)
    parser.add_argument('--matches', type=int, default=10)
    parser.add_argument('--tolerance-m', type=float, default=2.0)
    parser.add_argument('--seed', type=int, default=0)
    asked = parser.parse_args()
    tolerance = Tolerance(asked.tolerance_m)
    with timed(f'make {asked.queries} frames, {asked.places} places'):
        frames, places = made_up(asked.queries, asked.places, asked.matches, asked.seed)
    with timed('score'):
        report = score(frames, places, tolerance)
    with timed('scores of frames, and curves'):
        scores = score_frames(frames, places, tolerance)
        curves_of(scores)
    with timed('all positives'):
        count = sum(len(rows) for rows, _ in positive_pairs(
            places, np.stack([frame.truth for frame in frames]), tolerance))
    print(f'{count} positives; recall@1 {report.recall_at_1:.4f}, '
          f'intervals {report.intervals}')
    print(report.protocol)


if __name__ == '__main__':
    main()
