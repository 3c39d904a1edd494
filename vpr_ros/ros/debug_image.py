# SPDX-License-Identifier: Apache-2.0
"""The picture for `~/debug_image`: what the robot sees beside what the map remembers."""

from __future__ import annotations

import cv2
import numpy as np

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Image, Match, Outcome

_HEIGHT_PX = 240
_BAND_PX = 24
_GAP_PX = 4
_GREEN, _AMBER, _GREY = (90, 200, 90), (230, 160, 40), (60, 60, 60)


def debug_picture(query: Image, outcome: Outcome, place_map: PlaceMap, count: int) -> Image:
    """Return the query and the `count` best places side by side, RGB, each with a caption."""
    color = _GREEN if outcome.accepted else _AMBER
    tiles = [_tile(query, outcome.reason.value, color)]
    for rank, match in enumerate(outcome.matches[:count]):
        place = _thumbnail(match, place_map)
        caption = f'{match.place}  {match.similarity:.2f}'
        tiles.append(_tile(place, caption, color if rank == 0 else _GREY))
    gap = np.zeros((_HEIGHT_PX + _BAND_PX, _GAP_PX, 3), np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _thumbnail(match: Match, place_map: PlaceMap) -> Image:
    blank = np.zeros((3, 4, 3), np.uint8)
    if not place_map.thumbnails:
        return blank
    jpeg = np.frombuffer(place_map.thumbnails[match.place], np.uint8)
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if jpeg.size else None
    return blank if picture is None else np.asarray(picture[..., ::-1], np.uint8)


def _tile(picture: Image, caption: str, color: tuple[int, int, int]) -> Image:
    height, width = picture.shape[:2]
    size = (max(1, round(width * _HEIGHT_PX / height)), _HEIGHT_PX)
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    band = np.full((_BAND_PX, size[0], 3), color, np.uint8)
    cv2.putText(band, caption, (6, _BAND_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5,
                (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([resized, band]), np.uint8)
