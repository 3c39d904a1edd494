# SPDX-License-Identifier: Apache-2.0
"""Which pictures go into the page: failures first, then evenly spread frames, up to a budget."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.incidents import Incident, MOST_CARDS

BUDGET_BYTES = 10_000_000   # of JPEG; a third more in the page, as base64
WIDTH_PX = 160
_QUALITY = 70


@dataclass
class Embedded:
    """The pictures of a page: JPEGs as base64, and by which row each is found."""

    jpegs: list[str] = field(default_factory=list)
    of_frame: dict[int, int] = field(default_factory=dict)
    of_place: dict[int, int] = field(default_factory=dict)
    bytes_used: int = 0

    def add(self, index: dict[int, int], row: int, jpeg: bytes) -> None:
        """Take a picture of `row` (an entry of of_frame or of_place) unless it is there already.

        Nothing is taken once the budget is used up.
        """
        if row < 0 or row in index or not jpeg or self.bytes_used >= BUDGET_BYTES:
            return
        small = _shrunk(jpeg)
        index[row] = len(self.jpegs)
        self.jpegs.append(base64.b64encode(small).decode('ascii'))
        self.bytes_used += len(small)


def embed(folder: EvaluationFolder, place_pictures: Sequence[bytes],
          failures: Iterable[Incident]) -> Embedded:
    """Return the pictures of the page of one evaluation.

    `place_pictures` hold a JPEG for each place, or nothing at all.
    """
    frames, embedded = folder.frames, Embedded()
    query: Callable[[int], bytes] = (lambda row: b'') if folder.pictures is None else (
        folder.pictures.of)
    worst = [incident.worst for incident in failures][:MOST_CARDS]
    for row in [*worst, *map(int, spread(len(frames)))]:
        embedded.add(embedded.of_frame, row, query(row))
        for place in (int(frames.places[row, 0]), int(frames.nearest_place[row])):
            if 0 <= place < len(place_pictures):
                embedded.add(embedded.of_place, place, place_pictures[place])
        if embedded.bytes_used >= BUDGET_BYTES:
            break
    return embedded


def spread(count: int) -> Iterator[int]:
    """Yield each of `count` rows once, so that the first few are always spread over all of them.

    Van der Corput's sequence of base 2: rows in the order of their reversed bits.
    """
    bits = max(count - 1, 1).bit_length()
    order: NDArray[np.int64] = np.zeros(1, np.int64)
    for _ in range(bits):
        order = np.concatenate([order * 2, order * 2 + 1])
    yield from (int(row) for row in order if row < count)


def _shrunk(jpeg: bytes) -> bytes:
    """Return the JPEG, at most WIDTH_PX wide; what cannot be decoded stays as it is."""
    width = _width_px(jpeg)
    if width is not None and width <= WIDTH_PX:
        return jpeg
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return jpeg
    height_px = max(round(image.shape[0] * WIDTH_PX / image.shape[1]), 1)
    small = cv2.resize(image, (WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode('.jpg', small, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return encoded.tobytes() if done else jpeg


def _width_px(jpeg: bytes) -> int | None:
    """Return the width in a JPEG's frame header (ITU T.81, B.2.2), or None without one."""
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xC2:
            return int.from_bytes(jpeg[at + 7:at + 9], 'big')
        at += 2 + int.from_bytes(jpeg[at + 2:at + 4], 'big')
    return None
