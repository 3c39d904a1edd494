# SPDX-License-Identifier: Apache-2.0
"""What to do next, for somebody who knows robots and not place recognition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import shlex
from typing import Any

import numpy as np

from vpr_ros.report.frame_table import FrameTable, REASONS
from vpr_ros.report.verdicts import Verdict, verdicts
from vpr_ros.report.words import count, number, share

_LOW_RECALL, _LOW_COVERAGE, _HIGH_ERROR, _FEW_FRAMES = 0.6, 0.6, 0.1, 100
_OFF_MAP = 0.1


@dataclass(frozen=True)
class Advice:
    """One thing to do: `level` is danger, hint or good; `command` may be empty."""

    level: str
    text: str
    command: str = ''


def advise(report: Mapping[str, Any], settings: Mapping[str, Any], frames: FrameTable
           ) -> list[Advice]:
    """Return what to do next, the most urgent first."""
    known, accepted = int(frames.has_match.sum()), int(frames.accepted.sum())
    if not known:
        return [Advice('danger', 'The map has no place near the true position of any frame, so '
                       'nothing here says how good it is. Was the run driven where the map was '
                       'made? Are its poses in the frame of the map, in meters, and of the same '
                       'clock as the images?')]
    given = [*_wrong(settings, frames), *_short(frames), *_silent(report, settings, frames),
             *_map(report, frames), *_speed(report, frames), *_measurement(report, frames)]
    if not any(one.level == 'danger' for one in given) and accepted:
        coverage = float(frames.accepted[frames.has_match].mean())
        given.append(Advice('good', (
            'Nothing wrong was found that stands in the way of the robot. To run it:'
            if coverage >= _LOW_COVERAGE else
            f'What was said is right, but the robot would mostly hear nothing: {coverage:.0%} of '
            'the frames with a place got a pose. Where that is enough, run it:'),
            _launch(settings)))
    return given


def _calibrate(settings: Mapping[str, Any], precision: str = '') -> str:
    bags = [str(bag) for bag in settings.get('bags') or ()]
    runs = ' '.join(shlex.quote(bag) for bag in bags) or 'BAGS'
    odom = f' --odom {shlex.quote(str(settings["odom"]))}' if settings.get('odom') else ''
    return f'vpr calibrate {_path(settings, "map", "MAP")} --query {runs}{odom}{precision}'


def _launch(settings: Mapping[str, Any]) -> str:
    image = str(settings.get('image') or 'IMAGE_TOPIC').removesuffix('/compressed')
    odom = f' odom:={shlex.quote(str(settings["odom"]))}' if settings.get('odom') else ''
    return (f'ros2 launch vpr_ros relocalize.launch.py map:={_path(settings, "map", "MAP")} '
            f'image:={shlex.quote(image)}{odom}')


def _path(settings: Mapping[str, Any], key: str, otherwise: str) -> str:
    return shlex.quote(str(settings[key])) if settings.get(key) else otherwise


def _wrong(settings: Mapping[str, Any], frames: FrameTable) -> Iterator[Advice]:
    kinds = verdicts(frames)
    wrong = int((kinds == Verdict.WRONG).sum())
    off_map = int((kinds == Verdict.OFF_MAP_FIX).sum())
    if not wrong + off_map:
        return
    off = f' ({count(off_map)} of them where the map has no place)' if off_map else ''
    what = (f'{count(wrong + off_map)} of {count(frames.accepted.sum())} poses are wrong{off}. '
            'Look at the failures below: a robot would have believed these. ')
    if not settings.get('calibrated'):
        yield Advice('danger', what + 'The map is not calibrated, so from which probability on a '
                     'pose is believed is only a guess. Calibrate it, best on another run than '
                     'the one that you judge by:', _calibrate(settings))
    else:
        yield Advice('danger', what + 'The map is calibrated; promise a higher precision, which '
                     'gives fewer poses and fewer wrong ones:',
                     _calibrate(settings, ' --precision 0.999'))


def _silent(report: Mapping[str, Any], settings: Mapping[str, Any], frames: FrameTable
            ) -> Iterator[Advice]:
    known = frames.has_match
    coverage = float(frames.accepted[known].mean())
    recall = report.get('recall_at_1')
    if recall is not None and recall < _LOW_RECALL:
        yield Advice('hint', f'The pictures alone find a right place for {recall:.0%} of the '
                     'frames that have one. Compare query, match and right place below: if '
                     'season, light or viewpoint are different, add a mapping run that looks '
                     'like this one; if the places look alike, try another network (vpr model '
                     'fetch).')
    elif coverage < _LOW_COVERAGE:
        refused = np.bincount(frames.reason[known & ~frames.accepted], minlength=len(REASONS))
        reason = REASONS[int(refused.argmax())]
        seen = '' if recall is None else f'The pictures find the place ({recall:.0%}), but '
        text = (f'{seen}only {coverage:.0%} of the frames with a place got a pose; the most '
                f'frequent reason is "{reason}". ')
        if not settings.get('calibrated'):
            yield Advice('hint', text + 'A calibrated map knows when a pose can be believed:',
                         _calibrate(settings))
        else:
            yield Advice('hint', text + 'A lower promise in vpr calibrate gives more poses.')
    if coverage < 0.95 and 'odom' in settings and not settings['odom']:
        yield Advice('hint', 'No odometry was used. With it (--odom TOPIC) the belief follows the '
                     'robot between pictures, and usually far more frames get a pose.')


def _map(report: Mapping[str, Any], frames: FrameTable) -> Iterator[Advice]:
    off_map = int((~frames.has_match).sum())
    if off_map > _OFF_MAP * len(frames):
        yield Advice('hint', f'{share(off_map, len(frames))} of the frames were taken where the '
                     'map has no place within the tolerance. If the robot shall be found there, '
                     'drive there while mapping (the gray squares in the trajectory below).')
    error = report.get('calibration_error')
    if isinstance(error, float) and error > _HIGH_ERROR:
        yield Advice('hint', f'A probability misses the truth by {error:.2f} on average: do not '
                     'use it as one before the map is calibrated.')


def _speed(report: Mapping[str, Any], frames: FrameTable) -> Iterator[Advice]:
    latency_ms = report.get('latency_ms_p95')
    if latency_ms is None or len(frames) < 2:
        return
    interval_ms = float(np.median(np.diff(frames.stamps_ns))) * 1e-6
    if latency_ms > interval_ms > 0.0:
        yield Advice('hint', f'A frame takes up to {number(float(latency_ms))} ms, and one comes '
                     f'every {number(interval_ms)} ms: the node will drop frames (it keeps the '
                     'newest). vpr bench shows which engine is faster here, vpr quantize makes a '
                     'smaller network.')


def _short(frames: FrameTable) -> Iterator[Advice]:
    if len(frames) < _FEW_FRAMES:
        judged = 'one frame was' if len(frames) == 1 else f'{len(frames)} frames were'
        yield Advice('hint', f'Only {judged} judged: these numbers are rough, and a pose is '
                     'believed only after several pictures. Record a longer run before you rely '
                     'on them.')


def _measurement(report: Mapping[str, Any], frames: FrameTable) -> Iterator[Advice]:
    if undecoded := report.get('frames_not_decoded'):
        yield Advice('hint', f'{count(undecoded)} images could not be decoded and are not '
                     'counted.')
    if untrue := report.get('frames_without_truth'):
        yield Advice('hint', f'{count(untrue)} images were taken when no true pose is known, and '
                     'are not judged.')
