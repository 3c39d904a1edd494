# SPDX-License-Identifier: Apache-2.0
"""Data inside a page: JSON with compact arrays that no text in it can break out of."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LITTLE = {'u1': 'u1', 'i4': '<i4', 'f4': '<f4', 'f8': '<f8'}


def packed(values: NDArray[Any], kind: str) -> dict[str, str]:
    """Return an array as its little-endian bytes; `kind` is u1, i4, f4 or f8."""
    raw = np.ascontiguousarray(values).astype(np.dtype(_LITTLE[kind]), copy=False).tobytes()
    return {'t': kind, 'b': base64.b64encode(raw).decode('ascii')}


def script_json(record: Any) -> str:
    """Return JSON that can stand inside <script>.

    There the text ends at the first `</script`, wherever that stands, so no `<` is left as such.
    """
    text = json.dumps(record, separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')
