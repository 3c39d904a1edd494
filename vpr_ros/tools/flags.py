# SPDX-License-Identifier: Apache-2.0
"""Flags that several commands have, said once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class PoseFlags:
    """How poses are read out of a recording; None: as the reader has it.

    Parameters
    ----------
    base_frame
        Frame of the robot in /tf (default base_link).
    map_frame
        Frame of the map in /tf (default: the root of the tree).
    max_gap_s
        Longest gap in the poses that may be bridged (default 1.0).
    """

    base_frame: str | None = None
    map_frame: str | None = None
    max_gap_s: float | None = None

    def given(self) -> dict[str, Any]:
        """Return the flags that were set."""
        return given(**asdict(self))


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class ToleranceFlags:
    """How near is right; None: as the tolerance has it.

    Parameters
    ----------
    tolerance_m
        A pose is right within this distance (default 2.0).
    tolerance_deg
        And within this angle (default 45).
    """

    tolerance_m: float | None = None
    tolerance_deg: float | None = None

    def given(self) -> dict[str, Any]:
        """Return what was set, by the names of `Tolerance`."""
        return given(m=self.tolerance_m, deg=self.tolerance_deg)


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EngineFlags:
    """What runs the network.

    Parameters
    ----------
    engine
        What runs the network; auto: the fastest here, measured once.
    threads
        Threads of the network; 0 leaves it to the engine.
    """

    engine: Engine = 'auto'
    threads: int = 0


POSES, TOLERANCE, ENGINE = PoseFlags(), ToleranceFlags(), EngineFlags()
