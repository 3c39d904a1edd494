# SPDX-License-Identifier: Apache-2.0
"""A calibration in words: what was promised, what was measured, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vpr_ros.core.calibration import Calibration, precision_bound
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.report.reliability import reliability_lines
from vpr_ros.tools.calibrate import Calibrated


def calibration_lines(calibrated: Calibrated) -> Iterator[str]:
    """Yield what a person should know of a new calibration."""
    found = calibrated.calibration
    right = found.accepted - found.wrong
    bound = float(precision_bound(found.accepted, found.wrong))
    yield f'measured on      {found.source}'
    yield f'promised         precision {found.precision:g}'
    yield f'threshold        {found.threshold:.4f}'
    yield (f'held out         {right} of {found.accepted} accepted poses right '
           f'({right / max(found.accepted, 1):.4f}, at least {bound:.4f})')
    yield f'coverage         {found.coverage:.3f} of the frames that have a match'
    yield f'calibration      error {found.reliability.error:.3f}'
    yield from reliability_lines(found.reliability)


def summary_of(calibration: Calibration) -> str:
    """Return a stored calibration in one line."""
    unlike = calibration.unlike(LocalizerConfig().settings(), calibration.model)
    return (f'precision {calibration.precision:g} from a probability of '
            f'{calibration.threshold:.4f}, coverage {calibration.coverage:.2f}, calibration error '
            f'{calibration.reliability.error:.3f}, by {calibration.source}'
            + (f'; holds only for model {calibration.model[:12]}' if calibration.model else '')
            + (f'; holds only for settings that are not the defaults: {unlike}' if unlike else ''))


def next_step(map_path: Path, place_map: PlaceMap, camera: str, odom: str, params: Path | None
              ) -> str:
    """Return the command that runs a robot on this map."""
    names = [known.name for known in place_map.cameras]
    topic = place_map.topics.get(camera or names[0], '/image').removesuffix('/compressed')
    words = ['ros2 launch vpr_ros relocalize.launch.py', f'map:={map_path.absolute()}']
    words += [] if len(names) > 1 and not camera else [f'image:={topic}']
    if place_map.calibration is not None and place_map.calibration.odometry:
        words.append(f'odom:={odom or "/odom"}')
    words += [f'params:={params.absolute()}'] if params is not None else []
    return ' '.join(words)
