# SPDX-License-Identifier: Apache-2.0
"""The main job on a world made on the spot: bag -> map -> node -> poses -> numbers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from vpr_ros.bags.frames import read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.core.folder import new_folder
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import JudgedFrame, Report, Tolerance
from vpr_ros.core.types import Describer, Image
from vpr_ros.datasets.world import building_pair
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.report.page import write_page
from vpr_ros.report.picture import color_of, draw, Pair, summary
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.evaluate_bags import evaluate, Looking
from vpr_ros.tools.evaluate_node import evaluate_through_node
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.evaluation_folder import fill_folder
from vpr_ros.tools.print_evaluation import print_report
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, ODOM, POSE, write_run
from vpr_ros.tools.through_node import NodeSettings
from vpr_ros.tools.write_evaluation import settings_of

_PAIRS = 7
_SOURCE = QuerySource(odom=ODOM)


def run_demo(out: Path, seed: int, model: Path | None, force: bool, console: Console) -> Report:
    """Make two bags, map the first, relocalize in the second; return the report.

    Everything is written into the folder `out`, which appears only when all of it is done.
    """
    with new_folder(out, force, VprError) as folder:
        report = _demo(folder, out, seed, model, console)
    console.print()
    print_report(report, console)
    console.print(f'\n[bold]{summary(report)}[/]\n', highlight=False)
    for what, name in (('page', 'report.html'), ('picture', 'demo.png'),
                       ('numbers', 'report.json'), ('each frame', 'outcomes.jsonl'),
                       ('map', 'building.map'), ('bags', 'mapping_run'), ('', 'query_run')):
        console.print(f'{what:>10}  {out / name}', highlight=False, soft_wrap=True)
    return report


def _demo(folder: Path, out: Path, seed: int, model: Path | None, console: Console) -> Report:
    pair = building_pair(seed)
    for name, run in (('mapping_run', pair.mapping), ('query_run', pair.query)):
        console.print(f'recording {name}: {len(run.images)} images on {COMPRESSED}')
        write_run(run, folder / name)
    describer = load_describer(model)
    console.print(f'building the map with {describer.card.name}')
    map_folder = folder / 'building.map'
    write_map([folder / 'mapping_run'], map_folder, MapSource(COMPRESSED, POSE), describer,
              salvage=False, force=False)
    place_map = PlaceMap.load(map_folder)
    tolerance = Tolerance(pair.tolerance_m, pair.tolerance_deg)
    evaluation, through = _evaluated(folder / 'query_run', map_folder, place_map, describer,
                                     model, tolerance, console)
    settings = settings_of([], map_folder, place_map, describer, LocalizerConfig(),
                           _SOURCE.filled(place_map), tolerance, evaluation, describer.choice,
                           through=through)
    # The folder gets its name only when it is whole.
    fill_folder(folder, evaluation, place_map, {**settings, 'bags': [str(out / 'query_run')],
                                                'map': str(out / 'building.map')})
    write_page(folder, map_folder, out.resolve().name)
    pairs = _pairs(folder / 'query_run', list(evaluation.frames), place_map, tolerance)
    draw(folder / 'demo.png', place_map.poses, evaluation.frames, evaluation.report, tolerance,
         pairs, f'Relocalized by camera: {describer.card.name}')
    return evaluation.report


def _evaluated(query: Path, map_folder: Path, place_map: PlaceMap, describer: Describer,
               model: Path | None, tolerance: Tolerance, console: Console
               ) -> tuple[Evaluation, str]:
    """Return what the real node says of the run, or without ROS the localizer, and which."""
    with Recording([query]) as recording:
        if find_spec('rclpy') is not None:
            console.print('playing query_run through the relocalizer node, a process of its own')
            node = NodeSettings(model=model)
            return evaluate_through_node(
                recording, place_map, map_folder, describer.card, LocalizerConfig(), _SOURCE,
                tolerance, node, thumbnails=True), str(node)
        console.print('rclpy cannot be imported: the same localizer runs in this process instead '
                      'of the node', style='yellow')
        return evaluate(recording, place_map, describer, LocalizerConfig(), _SOURCE, tolerance,
                        Looking(thumbnails=True)), 'in process'


def _pairs(query: Path, frames: list[JudgedFrame], place_map: PlaceMap, tolerance: Tolerance
           ) -> list[Pair]:
    """Return evenly spread frames with the best place of each, and what was said of them."""
    chosen = {frames[row].outcome.stamp_ns: frames[row] for row in
              np.linspace(len(frames) * 0.04, len(frames) * 0.96, _PAIRS).astype(int)}
    pairs = []
    with Recording([query]) as recording:
        for image in read_images(recording, COMPRESSED, 'camera'):
            frame = chosen.get(image.stamp_ns)
            if frame is None:
                continue
            best = frame.outcome.matches[0]
            words = frame.outcome.reason.value
            if frame.outcome.accepted is not None:
                words += f', off by {frame.errors()[0]:.2f} m'
            pairs.append(Pair(image.decode().image, _picture(place_map.thumbnails[best.place]),
                              words, color_of(frame, tolerance)))
    return pairs


def _picture(jpeg: bytes) -> Image:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8)
