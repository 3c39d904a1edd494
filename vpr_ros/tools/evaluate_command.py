# SPDX-License-Identifier: Apache-2.0
"""The command `vpr evaluate`: a recording against a map, in numbers and pictures."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.console import Console

from vpr_ros.tools.flags import Bags, Engine, given, Switch


def add_evaluate_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(evaluate)


def evaluate(bags: Bags, *, map: Path, out: Path, image: str = '', pose: str = '',
             odom: str = '', camera: str = '', model: Path | None = None,
             tolerance_m: float | None = None, tolerance_deg: float | None = None,
             params: Path | None = None, base_frame: str | None = None,
             map_frame: str | None = None, max_gap_s: float | None = None,
             engine: Engine = 'auto', threads: int = 0,
             salvage: Switch = False, force: Switch = False) -> None:
    """Localize every image of a run and compare with the true poses.

    Parameters
    ----------
    map
        Folder of the map.
    out
        Folder for report.json, outcomes.jsonl and settings.json.
    image
        Image topic; left out: the one that the map was built from.
    pose
        Source of the true poses; left out: as for the map.
    odom
        Odometry topic that the localizer may use; left out: none.
    camera
        Name of the camera; left out: the map's only one.
    model
        Model folder; left out: the network that ships with this package.
    tolerance_m
        A pose is right within this distance (default 2.0).
    tolerance_deg
        And within this angle (default 45).
    params
        YAML file with the node's parameters.
    base_frame
        Frame of the robot in /tf (default base_link).
    map_frame
        Frame of the map in /tf (default: the root of the tree).
    max_gap_s
        Longest gap in the true poses that may be bridged (default 1.0).
    engine
        What runs the network; auto: the fastest here, measured once.
    threads
        Threads of the network; 0 leaves it to the engine.
    salvage
        Read a bag that was cut short as far as it goes.
    force
        Replace an existing result.
    """
    from vpr_ros.core.scoring import Tolerance
    from vpr_ros.nets.model_folder import load_describer
    from vpr_ros.tools.evaluate_bags import print_report, write_evaluation
    from vpr_ros.tools.params_file import read_config
    from vpr_ros.tools.query_run import QuerySource
    source = QuerySource(**given(image=image, pose=pose, odom=odom, camera=camera,
                                  base_frame=base_frame, map_frame=map_frame,
                                  max_gap_s=max_gap_s))
    tolerance = Tolerance(**given(m=tolerance_m, deg=tolerance_deg))
    console, describer = Console(), load_describer(model, threads, engine)
    console.print(f'network: {describer.choice}', style='dim', highlight=False, soft_wrap=True)
    evaluation = write_evaluation(bags, map, out, describer, read_config(params), source,
                                  tolerance, salvage, force, describer.choice)
    for remark in evaluation.remarks:
        console.print(remark, style='yellow')
    print_report(evaluation.report, console)
    console.print(f'accepted from a probability of {evaluation.threshold:.4f}'
                  + ('' if evaluation.calibration is None else
                     f', the calibration of the map by {evaluation.calibration.source}'),
                  highlight=False)
    console.print(f'report written: {out}', highlight=False)
