# SPDX-License-Identifier: Apache-2.0
"""Small sets in the layouts of the public ones, with real picture files."""

from pathlib import Path

import cv2
import numpy as np
import pytest


def write_picture(file: Path, value: int = 100, size=(12, 16)) -> Path:
    """Write a picture of one gray value; the name may hold anything."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ending = file.suffix.lower() if file.suffix.lower() in ('.png', '.jpg') else '.jpg'
    image = np.full((*size, 3), value, np.uint8)
    file.write_bytes(cv2.imencode(ending, image)[1].tobytes())
    return file


@pytest.fixture
def picture():
    """Return the function that writes a picture of one gray value."""
    return write_picture
