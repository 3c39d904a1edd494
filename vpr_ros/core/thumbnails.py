# SPDX-License-Identifier: Apache-2.0
"""The little pictures of a map's places, left on disk until one is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray


class PackedThumbnails(Sequence[bytes]):
    """JPEGs end to end in a file: picture i is its bytes from `ends[i - 1]` to `ends[i]`.

    Equal to any sequence of the same pictures.
    """

    def __init__(self, file: Path, ends: NDArray[np.int64]) -> None:
        """Raise ValueError when the file is not as long as the pictures are."""
        size = file.stat().st_size
        if (np.diff(ends, prepend=0) < 0).any() or (int(ends[-1]) if len(ends) else 0) != size:
            raise ValueError(f'the ends of the pictures do not rise to the size of {file.name}')
        self._ends = ends
        self._bytes = (np.memmap(file, dtype=np.uint8, mode='r') if size
                       else np.zeros(0, dtype=np.uint8))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[bytes, ...]: ...

    def __getitem__(self, index: int | slice) -> bytes | tuple[bytes, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(len(self))[index])
        row = range(len(self))[index]  # refuses what is not there, and counts from the end
        start = 0 if row == 0 else int(self._ends[row - 1])
        return self._bytes[start:int(self._ends[row])].tobytes()

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Sequence) and len(self) == len(other)
                and all(a == b for a, b in zip(self, other, strict=True)))

    __hash__ = None  # type: ignore[assignment]
