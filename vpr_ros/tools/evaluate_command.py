# SPDX-License-Identifier: Apache-2.0
"""The command `vpr evaluate`: a recording against a map, in numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App
from rich.console import Console

from vpr_ros.errors import VprError
from vpr_ros.tools.flags import (
    Bags,
    ENGINE,
    EngineFlags,
    given,
    PoseFlags,
    POSES,
    Several,
    Switch,
    TOLERANCE,
    ToleranceFlags,
)


def add_evaluate_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(evaluate)


def evaluate(bags: Bags, *, map: Several, out: Path, image: str = '', pose: str = '',
             truth: Path | None = None, truth_frame: str | None = None,
             truth_times: Path | None = None,
             truth_format: Literal['tum', 'kitti', 'csv'] | None = None,
             truth_unit: Literal['s', 'ms', 'us', 'ns'] | None = None,
             truth_offset_s: float | None = None, odom: str = '', camera: str = '',
             model: Several | None = None, params: Several | None = None,
             tolerance: ToleranceFlags = TOLERANCE, poses: PoseFlags = POSES,
             network: EngineFlags = ENGINE,
             through_node: Switch = False, rate: float | None = None,
             write_bag: Path | None = None,
             thumbnails: bool = True, cache: Path | None = None, no_cache: Switch = False,
             salvage: Switch = False, force: Switch = False) -> None:
    """Localize every image of a run, compare with the true poses, and write a report.

    Record a second run through the mapped place, better on another day: vpr evaluate says how
    often the robot would have known where it is, how often it would have been wrong, and why.
    Several maps, models or parameter files are evaluated one by one and compared.

    Parameters
    ----------
    map
        Folder of the map, or several.
    out
        Folder of the result; open report.html in it. Of several maps, models or parameter files:
        a folder for each, and comparison.html.
    image
        Image topic; left out: the one that the map was built from.
    pose
        Source of the true poses in the bags, a topic or tf; left out: as for the map.
    truth
        File of true poses instead (TUM, KITTI or CSV), of the robot's base in the frame of the
        map.
    truth_frame
        Frame that the poses of the file are in; it must be that of the map.
    truth_times
        KITTI's file with the time of each pose.
    truth_format
        Format of the file; left out: told by its name and columns.
    truth_unit
        Unit of the stamps in the file (default s).
    truth_offset_s
        Seconds to add to each stamp in the file (default 0).
    odom
        Odometry topic that the localizer may use, as on the robot; left out: none.
    camera
        Name of the camera; left out: the map's only one.
    model
        Model folder, or several; left out: the network that ships with this package.
    params
        YAML file with the node's parameters, or several.
    through_node
        Play the bags through the real ROS 2 node, a process of its own, and score what it
        publishes; images that it drops are counted.
    rate
        With --through-node: 1 is real time, 5 is five times as fast; 0 sends each image once the
        one before was answered, so that none is dropped (default 0).
    write_bag
        Also write a bag with the images, odometry, poses and all that was said of them, to look
        at in Foxglove or RViz.
    thumbnails
        Keep a small picture of each frame for the report.
    cache
        Folder where descriptions of images are kept for the next time (default
        ~/.cache/vpr_ros/descriptions, at most 8 GiB).
    no_cache
        Describe all images now, and keep nothing.
    salvage
        Read a bag that was cut short as far as it goes.
    force
        Replace an existing result.
    """
    from vpr_ros.core.judged import Tolerance
    from vpr_ros.tools.description_cache import default_cache
    from vpr_ros.tools.evaluate_grid import Asked, evaluate_pairings
    from vpr_ros.tools.query_run import QuerySource, TruthFile
    of_truth = given(frame_id=truth_frame, times=truth_times, layout=truth_format,
                     unit=truth_unit, offset_s=truth_offset_s)
    if truth is None and of_truth:
        raise VprError('--truth-frame, --truth-times, --truth-format, --truth-unit and '
                       '--truth-offset-s are of a file of poses: give it with --truth')
    if truth is not None and pose:
        raise VprError('--pose and --truth both say where the true poses are; give one of them')
    if rate is not None and not through_node:
        raise VprError('--rate says how fast a bag is played to the node; add --through-node')
    source = QuerySource(**given(
        image=image, pose=pose, odom=odom, camera=camera, **poses.given(),
        truth=None if truth is None else TruthFile(truth, **of_truth)))
    asked = Asked(tuple(bags), source, Tolerance(**tolerance.given()), network.engine,
                  network.threads, salvage, thumbnails,
                  None if no_cache else cache or default_cache(),
                  (rate or 0.0) if through_node else None, write_bag)
    evaluate_pairings(asked, map, model or (), params or (), out, force, Console())
