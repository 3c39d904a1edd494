# SPDX-License-Identifier: Apache-2.0
"""An evaluation made up on the spot: a loop with twins, a blind stretch, and a way off the map."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
import json
from pathlib import Path
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.score_curves import curves_of
from vpr_ros.core.scoring import score
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, Timing
from vpr_ros.report.frame_table import ACCEPTED, FrameTable, MATCHES

TOLERANCE = Tolerance(2.0, 45.0)


@dataclass(frozen=True)
class MadeUp:
    """What was written: the folder, and a JPEG for each place."""

    folder: Path
    thumbnails: tuple[bytes, ...]


def jpeg(hue: float, text: str, width: int = 160) -> bytes:
    """Return a picture that tells where it was taken by its color."""
    image = np.zeros((width * 3 // 4, width, 3), np.uint8)
    image[:, :, 0] = int(hue * 179)
    image[:, :, 1] = 170
    image[:, :, 2] = np.linspace(235, 90, len(image))[:, None].astype(np.uint8)
    image = cv2.cvtColor(image, cv2.COLOR_HSV2BGR)
    cv2.putText(image, text, (8, width * 3 // 8), cv2.FONT_HERSHEY_SIMPLEX, width / 220,
                (255, 255, 255), 2, cv2.LINE_AA)
    return cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, 80))[1].tobytes()


def loop(progress: np.ndarray) -> np.ndarray:
    """Return poses (n, 7) along a loop of some 400 m; beyond 1 it leads off."""
    def at(progress: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = 2 * np.pi * np.minimum(progress, 1.0)
        away = np.maximum(progress - 1.0, 0.0) * 400.0
        return (60 * np.cos(angle) + 12 * np.cos(3 * angle) + away,
                40 * np.sin(angle) + 8 * np.sin(2 * angle) + away * 0.3)

    (x, y), (ahead_x, ahead_y) = at(progress), at(progress + 1e-4)
    yaw = np.arctan2(ahead_y - y, ahead_x - x)
    zero = np.zeros_like(x)
    return np.stack([x, y, zero, zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)], axis=1)


def made_up(folder: Path, frames: int = 300, places: int = 200, pictures: bool = True,
            settings: dict[str, Any] | None = None, wrong: bool = True, seed: int = 0
            ) -> MadeUp:
    """Write an evaluation of `frames` frames on `places` places, as vpr evaluate writes it."""
    rng = np.random.default_rng(seed)
    of_place, of_frame = np.linspace(0, 1, places), np.linspace(0, 1.15, frames)
    poses, truth = loop(of_place), loop(of_frame)
    stamps_ns = 1_700_000_000_000_000_000 + np.arange(frames, dtype=np.int64) * 200_000_000
    judged = [_frame(row, int(stamps_ns[row]), of_frame[row], truth[row], poses, wrong, rng)
              for row in range(frames)]
    scores = score_frames(judged, poses, TOLERANCE)
    folder.mkdir(parents=True)
    (folder / 'report.json').write_text(score(judged, poses, TOLERANCE).to_json())
    (folder / 'curves.json').write_text(curves_of(scores).to_json())
    (folder / 'settings.json').write_text(json.dumps({
        'bags': ['runs/evening'], 'map': 'depot.map', 'model': 'vpr-default', 'engine':
        'onnxruntime, 1 thread', 'odom': '/odom', 'threshold': 0.9, 'calibrated': False,
        'tolerance_m': TOLERANCE.m, 'tolerance_deg': TOLERANCE.deg, **(settings or {})}))
    with (folder / 'outcomes.jsonl').open('w') as lines:
        for row, frame in enumerate(judged):
            lines.write(json.dumps(_record(frame, int(scores.nearest_place[row]),
                                           bool(scores.right[row]))) + '\n')
    np.savez(folder / 'places.npz', poses=poses, stamps_ns=np.arange(places))
    if pictures:
        jpegs = _pictures(np.minimum(of_frame, 1.0), 'frame')
        (folder / 'pictures.bin').write_bytes(b''.join(jpegs))
        np.savez(folder / 'pictures.npz', ends=np.cumsum([len(one) for one in jpegs]))
    rows, columns = min(frames, 500), min(places, 500)
    q = np.linspace(0, frames - 1, rows).astype(np.int64)
    n = np.linspace(0, places - 1, columns).astype(np.int64)
    away = np.abs(of_frame[q][:, None] - of_place[n][None])
    values = 0.25 + 0.6 * np.exp(-(away / 0.03) ** 2) + rng.normal(0, 0.03, (rows, columns))
    np.savez(folder / 'similarity.npz', values=values.astype(np.float16), truth=away < 0.008,
             query_rows=q, place_rows=n, shape=np.array([frames, places]))
    return MadeUp(folder, tuple(_pictures(of_place, 'place')) if pictures else ())


def _pictures(at: np.ndarray, what: str) -> list[bytes]:
    """Return a picture of each; of many, neighbors share one, since drawing takes time."""
    shared = -(-len(at) // 500)
    drawn = [jpeg(at[row] * 0.85, f'{what} {row}') for row in range(0, len(at), shared)]
    return [drawn[row // shared] for row in range(len(at))]


def _frame(row: int, stamp_ns: int, at: float, truth: np.ndarray, poses: np.ndarray, wrong: bool,
           rng: np.random.Generator) -> JudgedFrame:
    places = len(poses)
    best = min(round(at * (places - 1)), places - 1)
    reason, probability = Reason.ACCEPTED, float(rng.uniform(0.92, 0.999))
    if wrong and 0.30 < at < 0.34:
        best, probability = (best + places // 2) % places, float(rng.uniform(0.9, 0.97))
    elif 0.55 < at < 0.65:
        reason, probability = Reason.AMBIGUOUS, float(rng.uniform(0.3, 0.7))
        best = (best + int(rng.integers(-3, 4))) % places
    elif at > 1.0 and not (wrong and 1.05 < at < 1.06):
        reason, probability = Reason.UNKNOWN, float(rng.uniform(0.0, 0.3))
    elif at < 0.02:
        reason, probability = Reason.UNCONFIRMED, float(rng.uniform(0.5, 0.9))
    pose = poses[best].copy()
    pose[:2] += rng.normal(0.0, 0.25, 2)
    ranks = [best, *((best + np.arange(1, 10)) % places).tolist()]
    similarity = np.sort(rng.uniform(0.3, 0.9, 10))[::-1]
    describe_ms = float(rng.gamma(40, 0.3)) + (40.0 if row % 97 == 50 else 0.0)
    timing = Timing(describe_ms, 0.8, 1.4)
    outcome = Outcome(stamp_ns, 'camera', tuple(map(Match, ranks, similarity.tolist())),
                      (Hypothesis(stamp_ns, 'map', pose, np.eye(6), probability),), reason,
                      1.0 - probability, timing=timing)
    return JudgedFrame(outcome, truth, describe_ms + 4.2, 2.0)


def _record(frame: JudgedFrame, nearest: int, right: bool) -> dict[str, Any]:
    outcome, best = frame.outcome, frame.outcome.hypotheses[0]
    error_m, error_rad = frame.errors()
    return {
        'stamp_ns': outcome.stamp_ns, 'camera': outcome.camera, 'reason': outcome.reason.value,
        'pose': best.pose.tolist(), 'probability': best.probability,
        'unknown_probability': outcome.unknown_probability, 'truth': frame.truth.tolist(),
        'position_error_m': error_m, 'heading_error_deg': float(np.degrees(error_rad)),
        'matches': [[match.place, match.similarity] for match in outcome.matches],
        'restarted': False, 'latency_ms': frame.latency_ms, 'decode_ms': frame.decode_ms,
        'describe_ms': outcome.timing.describe_ms, 'search_ms': outcome.timing.search_ms,
        'judge_ms': outcome.timing.judge_ms, 'has_match': nearest >= 0, 'right': right,
        'accepted': outcome.accepted is not None, 'nearest_place': nearest if nearest >= 0
        else None}


@pytest.fixture
def make() -> Callable[..., MadeUp]:
    """The maker of evaluations, for tests that want their own."""
    return made_up


@pytest.fixture(scope='session')
def evaluation(tmp_path_factory) -> MadeUp:
    """An evaluation with every kind of failure."""
    return made_up(tmp_path_factory.mktemp('evaluation') / 'run2.eval')


@pytest.fixture(scope='session')
def long_evaluation(tmp_path_factory) -> MadeUp:
    """An evaluation of 20,000 frames on 10,000 places."""
    return made_up(tmp_path_factory.mktemp('long') / 'long.eval', 20_000, 10_000)


@pytest.fixture
def table() -> Callable[..., FrameTable]:
    """A maker of frames from the few columns that matter to a test."""
    def make(accepted: list[bool], right: list[bool], has_match: list[bool], *,
             step_s: float = 1.0, **columns: Any) -> FrameTable:
        count = len(accepted)
        x = np.arange(count, dtype=np.float64)
        truth = np.zeros((count, 7))
        truth[:, 0], truth[:, 6] = x, 1.0
        plain: dict[str, Any] = {
            'stamps_ns': (x * step_s * 1e9).astype(np.int64), 'truth': truth, 'pose': truth,
            'probability': np.full(count, 0.9), 'unknown_probability': np.full(count, 0.1),
            'position_error_m': np.ones(count), 'heading_error_deg': np.zeros(count),
            'places': np.zeros((count, MATCHES), np.int32),
            'similarity': np.zeros((count, MATCHES), np.float32),
            'has_match': np.array(has_match, dtype=np.bool_),
            'accepted': np.array(accepted, dtype=np.bool_),
            'right': np.array(right, dtype=np.bool_),
            'nearest_place': np.where(has_match, 0, -1).astype(np.int32),
            'reason': np.where(accepted, ACCEPTED, ACCEPTED + 1).astype(np.uint8),
            'camera': np.zeros(count, np.uint8), 'cameras': ('camera',),
            'latency_ms': np.ones(count), 'stages_ms': {}}
        return FrameTable(**{**plain, **columns})
    return make


@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    """A headless Chromium; a test that needs it is skipped where there is none."""
    spec = spec_from_file_location('chromium', Path(__file__).with_name('chromium.py'))
    module = sys.modules['chromium'] = module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.chromium() is None:
        pytest.skip('there is no chromium here; apt-get install chromium')
    page = module.Page(tmp_path_factory.mktemp('profile'))
    yield page
    page.close()
