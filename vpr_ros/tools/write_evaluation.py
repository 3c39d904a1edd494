# SPDX-License-Identifier: Apache-2.0
"""Bags and a map in, the folder of an evaluation out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vpr_ros.bags.recording import Recording
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.knobs import flat
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Describer
from vpr_ros.errors import BagError, VprError
from vpr_ros.tools.evaluate_bags import evaluate, Looking
from vpr_ros.tools.evaluate_node import evaluate_through_node
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.evaluation_folder import fill_folder
from vpr_ros.tools.memory_record import folder_bytes
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.sayings import Sayings
from vpr_ros.tools.through_node import NodeSettings


def write_evaluation(bags: Sequence[Path], map_path: Path, out: Path, describer: Describer,
                     config: LocalizerConfig, source: QuerySource, tolerance: Tolerance,
                     salvage: bool, force: bool, engine: str = '', *,
                     looking: Looking = Looking(),  # noqa: B008
                     model_folder: Path | None = None, job: str = '',
                     node: NodeSettings | None = None, bag: Path | None = None) -> Evaluation:
    """Evaluate `bags` on a map and write the folder `out`, which is whole or absent.

    `engine` says in the settings what ran the network, `model_folder` where its files are, and
    `job` is the digest of all that the result depends on. `node`: by the real node instead of in
    process. `bag`: also write what was said into a bag beside the images.
    """
    refuse_existing(out, force, VprError)
    if bag is not None:
        refuse_existing(bag, force, BagError)
    place_map = PlaceMap.load(map_path)
    model_bytes = None if model_folder is None else folder_bytes(model_folder)
    with Recording(bags, salvage) as recording:
        sayings = None if bag is None else Sayings(place_map)
        if node is not None:
            evaluation = evaluate_through_node(
                recording, place_map, map_path, describer.card, config, source, tolerance, node,
                looking.thumbnails, model_bytes, sayings)
        else:
            evaluation = evaluate(recording, place_map, describer, config, source, tolerance,
                                  looking, model_bytes, None if sayings is None else sayings.take)
        if bag is not None and sayings is not None:
            sayings.write(bag, recording, source.filled(place_map), evaluation, force)
    settings = settings_of(bags, map_path, place_map, describer, config,
                           source.filled(place_map), tolerance, evaluation, engine, job,
                           'in process' if node is None else str(node))
    with new_folder(out, force, VprError) as folder:
        fill_folder(folder, evaluation, place_map, settings)
    return evaluation


def settings_of(bags: Sequence[Path], map_path: Path, place_map: PlaceMap, describer: Describer,
                config: LocalizerConfig, asked: QuerySource, tolerance: Tolerance,
                evaluation: Evaluation, engine: str, job: str = '',
                through: str = 'in process') -> dict[str, Any]:
    """Return what settings.json says: all that the numbers depend on."""
    return {'bags': [str(bag) for bag in bags], 'map': str(map_path),
            'map_digest': place_map.digest, 'map_bytes_on_disk': folder_bytes(map_path),
            'model': describer.card.name, 'model_digest': describer.card.digest,
            'engine': engine, **asked.record(), **flat(config), 'tolerance_m': tolerance.m,
            'tolerance_deg': tolerance.deg, 'threshold': evaluation.threshold,
            'calibrated': evaluation.calibration is not None, 'through': through,
            'described': evaluation.described, 'remarks': list(evaluation.remarks), 'job': job}
