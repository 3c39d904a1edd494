# SPDX-License-Identifier: Apache-2.0
"""Picture files of a set: found, put in order, decoded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import re

import cv2
import numpy as np

from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages
from vpr_ros.errors import DatasetError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')


class PictureFiles(LazyImages):
    """Images of `files`, (H, W, 3) RGB, decoded when they are asked for.

    The file's own pixels: an orientation in EXIF is not applied, as in the harnesses of the field.
    When read, raises DatasetError for a file that cannot be decoded.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        super().__init__(len(self.files), self._read)

    def _read(self, index: int) -> Image:
        return decode(self.files[index])


def decode(file: Path) -> Image:
    """Return the picture in a file; raises DatasetError when there is none."""
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DatasetError(f'{file} cannot be read ({error.strerror}); copy it again') from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) \
        if len(data) else None
    if picture is None:
        raise DatasetError(f'{file} is not a picture that can be decoded; copy it again or take '
                           'it out')
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def find_pictures(folder: Path, deep: bool = False) -> list[Path]:
    """Return the pictures of a folder (`deep`: and of those in it) by name, numbers as numbers.

    Hidden files and other endings are left alone. Raises DatasetError when there is no folder, or
    no picture in it.
    """
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not there')
    files = [file for file in (folder.rglob('*') if deep else folder.iterdir())
             if file.suffix.lower() in SUFFIXES and not file.name.startswith('.')]
    if not files:
        raise DatasetError(f'{folder} holds no pictures ({", ".join(SUFFIXES)})')
    return sorted(files, key=lambda file: (*map(natural, file.relative_to(folder).parts),))


def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a key by which img2 comes before img10."""
    return tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part)
                 for part in re.split(r'([0-9]+)', text) if part)


def number_of(file: Path) -> int:
    """Return the last number in a base name; raises DatasetError without one."""
    digits = re.findall(r'[0-9]+', file.stem)
    if not digits:
        raise DatasetError(f'{file} has no frame number in its name')
    return int(digits[-1])
