# SPDX-License-Identifier: Apache-2.0
"""What was said of each image of a run, kept until it is written into a bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vpr_ros.bags.answered_bag import SaidFrame, write_answered_bag
from vpr_ros.bags.compose import Said
from vpr_ros.bags.outcome_messages import outcome_messages
from vpr_ros.bags.recording import Recording
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Outcome
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.through_node import Published


@dataclass(frozen=True, eq=False)
class _Saying:
    outcome: Outcome
    latency_ms: float
    messages: Sequence[Said]


class Sayings:
    """Messages by the stamp of their image: made here, or as a node has published them."""

    def __init__(self, place_map: PlaceMap) -> None:
        self._place_map = place_map
        self._sayings: dict[int, _Saying] = {}
        self._diagnostics: tuple[tuple[int, Said], ...] = ()

    def take(self, outcome: Outcome, probabilities: Sequence[float], latency_ms: float,
             decode_ms: float) -> None:
        """Make the messages that the node would publish of a frame (`evaluate`'s listener)."""
        times = {'decode_ms': decode_ms, 'latency_ms': latency_ms, 'age_ms': latency_ms}
        self._sayings[outcome.stamp_ns] = _Saying(outcome, latency_ms, outcome_messages(
            outcome, self._place_map, probabilities, times))

    def take_published(self, published: Published) -> None:
        """Keep what a node has published, byte for byte."""
        self._diagnostics = published.diagnostics
        for answer in published.answers:
            self._sayings[answer.outcome.stamp_ns] = _Saying(
                answer.outcome, answer.latency_ms, answer.messages)

    def write(self, path: Path, recording: Recording, asked: QuerySource, evaluation: Evaluation,
              force: bool) -> None:
        """Write them into a bag beside the topics of `asked`; `evaluation` says what is right.

        Raises BagError when `path` exists and `force` is not given.
        """
        truths = {frame.outcome.stamp_ns: (frame.truth, right if guessed else None)
                  for frame, right, guessed in zip(
                      evaluation.frames, evaluation.scores.right.tolist(),
                      evaluation.scores.guessed.tolist(), strict=True)}
        frames = {stamp_ns: SaidFrame(said.outcome, said.latency_ms, said.messages,
                                      *truths.get(stamp_ns, (None, None)))
                  for stamp_ns, said in self._sayings.items()}
        write_answered_bag(path, recording, (asked.image, asked.odom, asked.pose), asked.image,
                           frames, evaluation.places, self._place_map.frame_id,
                           self._diagnostics, force)
