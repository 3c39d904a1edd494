# SPDX-License-Identifier: Apache-2.0
"""The main job on a world made on the spot: bag -> map -> node -> poses -> numbers."""

from __future__ import annotations

from importlib.util import find_spec
import json
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from vpr_ros.bags.frames import read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.core.folder import new_folder
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import JudgedFrame, Report, score, Tolerance
from vpr_ros.core.types import Image
from vpr_ros.datasets.world import building_pair
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.report.picture import color_of, draw, Pair, summary
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.evaluation_folder import outcome_record
from vpr_ros.tools.print_evaluation import print_report
from vpr_ros.tools.query_run import QueryRun, QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, ODOM, POSE, write_run
from vpr_ros.tools.through_node import judged_frames, NodeSettings, play_through_node

_PAIRS = 7


def run_demo(out: Path, seed: int, model: Path | None, force: bool, console: Console) -> Report:
    """Make two bags, map the first, relocalize in the second; return the report.

    Everything is written into the folder `out`, which appears only when all of it is done.
    """
    with new_folder(out, force, VprError) as folder:
        report = _demo(folder, seed, model, console)
    console.print()
    print_report(report, console)
    console.print(f'\n[bold]{summary(report)}[/]\n', highlight=False)
    for what, name in (('picture', 'demo.png'), ('report', 'report.json'),
                       ('each frame', 'outcomes.jsonl'), ('map', 'building.map'),
                       ('bags', 'mapping_run'), ('', 'query_run')):
        console.print(f'{what:>10}  {out / name}', highlight=False, soft_wrap=True)
    return report


def _demo(folder: Path, seed: int, model: Path | None, console: Console) -> Report:
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
    query = folder / 'query_run'
    tolerance = Tolerance(pair.tolerance_m, pair.tolerance_deg)
    if find_spec('rclpy') is not None:
        console.print('playing query_run through the relocalizer node, a process of its own')
        frames, settings = _through_node(query, map_folder, model, place_map)
        report = score(frames, place_map.poses, tolerance, through=str(settings))
    else:
        console.print('rclpy cannot be imported: the same localizer runs in this process instead '
                      'of the node', style='yellow')
        with Recording([query]) as recording:
            evaluation = evaluate(recording, place_map, describer, LocalizerConfig(),
                                  QuerySource(odom=ODOM), tolerance)
        frames, report = list(evaluation.frames), evaluation.report
    (folder / 'report.json').write_text(report.to_json())
    with (folder / 'outcomes.jsonl').open('w') as lines:
        lines.writelines(json.dumps(outcome_record(frame)) + '\n' for frame in frames)
    pairs = _pairs(query, frames, place_map, tolerance)
    draw(folder / 'demo.png', place_map.poses, frames, report, tolerance, pairs,
         f'Relocalized by camera: {describer.card.name}')
    return report


def _through_node(query: Path, map_folder: Path, model: Path | None, place_map: PlaceMap
                  ) -> tuple[list[JudgedFrame], NodeSettings]:
    """Play the bag through the real node; return what it published, with the truth, and how."""
    settings = NodeSettings(model=model)
    with Recording([query]) as recording:
        run = QueryRun.opened(recording, place_map, QuerySource(odom=ODOM))
        return judged_frames(run, play_through_node(run, map_folder, settings)), settings


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
