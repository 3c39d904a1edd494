# SPDX-License-Identifier: Apache-2.0
"""A recording against a map: every frame through the localizer, as on the robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from vpr_ros.bags.recording import Recording
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Describer, Outcome
from vpr_ros.tools.assemble import Answered, assembled
from vpr_ros.tools.description_cache import DescriptionCache
from vpr_ros.tools.descriptions import look, Seen
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.examination import Described
from vpr_ros.tools.progress import progress
from vpr_ros.tools.query_run import QueryRun, QuerySource


@dataclass(frozen=True)
class Looking:
    """How pictures are described: kept in a cache or not, with thumbnails or without."""

    cache: DescriptionCache | None = None
    thumbnails: bool = False


# Told of each image: the outcome, what is believed of its matches, latency and decoding (ms).
Listener = Callable[[Outcome, Sequence[float], float, float], None]


def evaluate(recording: Recording, place_map: PlaceMap, describer: Describer,
             config: LocalizerConfig, source: QuerySource, tolerance: Tolerance,
             looking: Looking = Looking(), model_bytes: int | None = None,
             listener: Listener | None = None) -> Evaluation:
    """Return what the localizer says of every image of a recording, and how true that is.

    Frames before the first and after the last true pose are localized too, since the belief
    lives on them, but not judged. Raises BagError when no image can be judged.
    """
    run = QueryRun.opened(recording, place_map, source)
    known = Described(describer.card)
    localizer = Localizer(config, place_map, known, [run.camera])
    seen, described, measured = _seen(run, describer, looking, config.verify.is_on)
    answers = []
    for one in seen:
        answers.append(_answered(localizer, known, run, one))
        if listener is not None:
            listener(answers[-1].outcome, localizer.place_probabilities(answers[-1].outcome),
                     answers[-1].latency_ms, one.decode_ms)
    return assembled(run, place_map, localizer, answers, tolerance, measured,
                     tuple(_of_stamps(run, answers)), model_bytes=model_bytes,
                     described=described)


def _seen(run: QueryRun, describer: Describer, looking: Looking, with_images: bool
          ) -> tuple[Iterator[Seen], str, str]:
    """Return the described pictures, where they came from, and how their time was measured."""
    if looking.cache is None or with_images:
        line = ('' if looking.cache is None else 'the cache of descriptions is not used: verify '
                'compares the pictures themselves')
        return _streamed(run, describer, looking, with_images), line, 'in process'
    kept = looking.cache.describe(run, describer)
    seen = progress(kept.descriptions.seen(run.asked.camera, looking.thumbnails),
                    len(kept.descriptions), 'judge')
    return seen, kept.line, ('in process' if not kept.day else
                             f'in process; decoding and describing as measured on {kept.day}')


def _streamed(run: QueryRun, describer: Describer, looking: Looking, with_images: bool
              ) -> Iterator[Seen]:
    for item in look(run, describer, looking.thumbnails, keep_images=with_images):
        if isinstance(item, Seen):
            run.count.read += 1
            yield item
        else:
            run.count.skipped += 1
            run.count.first_problem = run.count.first_problem or item.problem


def _answered(localizer: Localizer, known: Described, run: QueryRun, seen: Seen) -> Answered:
    known.descriptor = seen.descriptor
    started = perf_counter()
    outcome = localizer.localize(seen.frame, run.motion.at)
    localize_ms = (perf_counter() - started) * 1e3
    timing = replace(outcome.timing, describe_ms=seen.describe_ms)
    return Answered(replace(outcome, timing=timing),
                    seen.decode_ms + seen.describe_ms + localize_ms, seen.decode_ms,
                    seen.thumbnail, seen.descriptor)


def _of_stamps(run: QueryRun, answers: Sequence[Answered]) -> Iterator[str]:
    repeated = len(answers) - len({answer.outcome.stamp_ns for answer in answers})
    if repeated:
        yield (f'{repeated} of {len(answers)} images on {run.asked.image} have the stamp of '
               'another one: each is judged by itself, and what they cost in the belief is not '
               "the robot's; is the topic published twice, or its stamp not set?")
