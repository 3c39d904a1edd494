# SPDX-License-Identifier: Apache-2.0
"""Flags that several commands have, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Bags = Annotated[list[Path], Parameter(help='rosbag2 folders, .mcap, .db3 or ROS 1 .bag files.',
                                       negative=())]
Engine = Literal['auto', 'onnxruntime', 'openvino', 'torch']
Several = Annotated[list[Path], Parameter(consume_multiple=True, negative=())]
Kept = Literal['float32', 'float16', 'int8']   # of descriptors in a map
Switch = Annotated[bool, Parameter(negative=())]   # there is no --no-force


def given(**flags: Any) -> dict[str, Any]:
    """Return the flags that were set, so that each default is said where it belongs."""
    return {name: value for name, value in flags.items() if value is not None}
