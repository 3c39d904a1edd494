# SPDX-License-Identifier: Apache-2.0
"""`auto`: measure what may run a model, once, and remember which was best here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import ModelCard
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.nets.engine_verdicts import recall_verdict, remember_verdict, Verdict, verdict_key
from vpr_ros.nets.engines import (
    Candidate,
    candidates,
    gpu_present,
    open_describer,
    refuse_unknown,
)
from vpr_ros.nets.preprocess import preprocess

MIN_COSINE = 0.999    # of a float engine's descriptors with fp32's: below, it is another network
_CLEAR_GAIN = 0.95    # nearly as fast as the plainest is no reason to leave it
_ROUNDS = (3, 15)     # at least, at most
_BUDGET_S = 1.0       # for the rounds of all candidates together
_PICTURES = 4


def choose_describer(folder: Path, card: ModelCard, threads: int, engine: str, precision: str
                     ) -> EngineDescriber:
    """Return the fastest describer of a checked folder among what is asked for.

    What was measured here before is believed; else each candidate is opened and measured.
    Raises ModelError when nothing runs.
    """
    refuse_unknown(engine, precision)
    key = verdict_key(folder, threads, engine, precision)
    if verdict := recall_verdict(folder, card, key):
        with suppress(ModelError):  # what ran then need not run now
            describer = open_describer(folder, card, threads, verdict.candidate)
            describer.choice = f'{verdict} (measured before)'
            return describer
    describer, verdict = measured(folder, card, threads, engine, precision)
    if verdict is None:
        return describer
    where = remember_verdict(folder, card, key, verdict)
    describer.choice = f'{verdict} (measured now, {where})'
    return describer


def measured(folder: Path, card: ModelCard, threads: int, engine: str, precision: str
             ) -> tuple[EngineDescriber, Verdict | None]:
    """Return the fastest of what may run a folder; no verdict where there was no choice."""
    asked = candidates(folder, card, engine, precision)
    if len(asked) == 1:
        describer = open_describer(folder, card, threads, asked[0])
        describer.choice = f'{asked[0]}, {"all there is" if engine == "auto" else "as asked"}'
        return describer, None
    batch = preprocess(probe_pictures(card), card.preprocessing)
    running, remarks = _running(folder, card, threads, asked, batch)
    spent_s = _spent_s(list(running.values()), batch[:1], threads)
    times_ms = {each: s * 1e3 for each, s in zip(running, spent_s, strict=True)}
    first = next(iter(times_ms))
    best = min(times_ms, key=lambda each: times_ms[each] * (
        _CLEAR_GAIN if each == first else 1.0))
    return running[best], Verdict(best, times_ms, tuple(remarks))


def _running(folder: Path, card: ModelCard, threads: int, asked: Sequence[Candidate],
             batch: NDArray[np.float32]
             ) -> tuple[dict[Candidate, EngineDescriber], list[str]]:
    """Open what opens; raises the first's ModelError when nothing does."""
    running: dict[Candidate, EngineDescriber] = {}
    remarks, first_error = [], None
    wanted: Descriptors | None = None  # fp32's
    for each in sorted(asked, key=lambda each: each.precision != 'fp32'):
        try:
            describer = open_describer(folder, card, threads, each)
            got = describer.describe_batch(batch)
        except ModelError as error:
            first_error = first_error or error
            remarks.append(f'{each} does not run')
            continue
        if each.precision == 'fp32' and wanted is None:
            wanted = got
        if each.precision != 'int8' and wanted is not None:
            cosine = float((got * wanted).sum(axis=1).min())
            if not cosine >= MIN_COSINE:
                remarks.append(f'{each} left out, cosine {cosine:.4f}')
                continue
        running[each] = describer
    if not running:
        raise first_error or ModelError(f'nothing runs {folder}; choose engine onnxruntime')
    return running, remarks


def _spent_s(describers: Sequence[EngineDescriber], batch: NDArray[np.float32], threads: int
             ) -> list[float]:
    """Return the median seconds of a run for each, taken in turns.

    One thread is counted in processor time, which does not see who else is busy, nor a GPU.
    """
    clock = time.process_time if threads == 1 and not gpu_present() else time.perf_counter
    spent: list[list[float]] = [[] for _ in describers]
    end = time.perf_counter() + _BUDGET_S
    for turn in range(_ROUNDS[1]):
        if turn >= _ROUNDS[0] and time.perf_counter() > end:
            break
        for describer, times in zip(describers, spent, strict=True):
            started = clock()
            describer.describe_batch(batch)
            times.append(clock() - started)
    return [median(times) for times in spent]


def probe_pictures(card: ModelCard) -> list[Image]:
    """Return a few pictures that are always the same: colored blots, large and small."""
    rng = np.random.default_rng(0)
    size = (card.preprocessing.width_px, card.preprocessing.height_px)
    pictures = []
    for _ in range(_PICTURES):
        picture = np.zeros((size[1], size[0], 3), np.float32)
        for cells in (3, 7, 19, 53):  # as in nature: the coarser, the stronger
            blots = rng.normal(0.0, 1.0 / cells ** 0.5, (cells, cells, 3)).astype(np.float32)
            picture += cv2.resize(blots, size, interpolation=cv2.INTER_CUBIC)
        spread = float(picture.std()) or 1.0
        pictures.append(np.clip(120.0 + 50.0 * picture / spread, 0, 255).astype(np.uint8))
    return pictures
