# SPDX-License-Identifier: Apache-2.0
"""A recording against a map, through the real node: what was published is what counts."""

from __future__ import annotations

from pathlib import Path

from vpr_ros.bags.frames import FrameCount, read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.core.card import ModelCard
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.tools.assemble import Answered, assembled
from vpr_ros.tools.build_map import thumbnail
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.examination import Described
from vpr_ros.tools.query_run import QueryRun, QuerySource
from vpr_ros.tools.sayings import Sayings
from vpr_ros.tools.through_node import NodeSettings, play_through_node


def evaluate_through_node(recording: Recording, place_map: PlaceMap, map_path: Path,
                          card: ModelCard, config: LocalizerConfig, source: QuerySource,
                          tolerance: Tolerance, settings: NodeSettings, thumbnails: bool = False,
                          model_bytes: int | None = None, sayings: Sayings | None = None
                          ) -> Evaluation:
    """Return what the node publishes of a recording, and how true that is.

    `card` and `config` are the model's and the localizer's in the node; `sayings` are given all
    messages. Raises as `play_through_node`, and BagError when no image can be judged.
    """
    run = QueryRun.opened(recording, place_map, source)
    localizer = Localizer(config, place_map, Described(card), [run.camera])
    published = play_through_node(run, map_path, settings)
    if sayings is not None:
        sayings.take_published(published)
    stamps_ns = {answer.outcome.stamp_ns for answer in published.answers}
    pictures = _thumbnails(run, stamps_ns) if thumbnails else {}
    answers = [Answered(answer.outcome, answer.latency_ms, answer.decode_ms,
                        pictures.get(answer.outcome.stamp_ns, b''))
               for answer in published.answers]
    return assembled(run, place_map, localizer, answers, tolerance, str(settings),
                     tuple(published.remarks()), frames_dropped=len(published.dropped),
                     model_bytes=model_bytes)


def _thumbnails(run: QueryRun, stamps_ns: set[int]) -> dict[int, bytes]:
    """Return a JPEG of each image that was answered, by its stamp."""
    pictures: dict[int, bytes] = {}
    for image in read_images(run.recording, run.asked.image, run.asked.camera, FrameCount()):
        if image.stamp_ns in stamps_ns and image.stamp_ns not in pictures:
            pictures[image.stamp_ns] = thumbnail(image.decode().image)
    return pictures
