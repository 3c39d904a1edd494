# SPDX-License-Identifier: Apache-2.0
"""A pruning run in plain words: what to take, what it costs, what else would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vpr_ros.report.advice import Advice
from vpr_ros.report.pruning_run import mean_recall, milliseconds, PruningRun, Series
from vpr_ros.report.words import count, number, rough

SELF_LABELLED = 'self-labelled'
_GOOD_POINTS, _BAD_POINTS, _SURE = 1.0, 3.0, 1.96


def total_bytes(point: Mapping[str, Any]) -> int:
    """Return network and map of a point or control."""
    return int(point['model_bytes'] + point['map_bytes'])


def megabytes(bytes_: float) -> str:
    """Return a size in words."""
    return f'{number(bytes_ / 1e6)} MB'


def drop_points(run: PruningRun, point: Mapping[str, Any], chooses: bool = True) -> float:
    """Return by how many points of recall@1 a point is below the dense network."""
    dense, found = (mean_recall(each, chooses) or 0.0 for each in (run.dense, point))
    return 100.0 * (dense - found)


def headline(run: PruningRun) -> str:
    """Return the run in one line."""
    dense, taken = run.dense, run.taken
    if taken['step'] == 0:
        return 'No step recalls enough: keep the dense network'
    memory = total_bytes(taken) / total_bytes(dense)
    parts = [f'{memory:.0%} of the memory']
    if taken['speed'] is not None:
        now, before = (sum(milliseconds(run, [run], each) or ()) for each in (taken, dense))
        parts.insert(0, f'{now / before:.0%} of the time')
    return (f'Step {taken["step"]} of {run.points[-1]["step"]} needs {" and ".join(parts)} of the '
            f'dense network; recall@1 {_recall(taken)} instead of {_recall(dense)}')


def advise(run: PruningRun) -> list[Advice]:
    """Return what to take and why, and what to know before."""
    return [*_take(run), *_sure(run), *_tested(run), *_maps(run), *_instead(run), *_next(run)]


def several(series: Sequence[Series]) -> list[Advice]:
    """Return a line for each of several runs: what its step to take came to."""
    return [Advice('hint', f'{one.name}: {headline(one.lead)}'
                   + (f' (the first of {len(one.runs)} seeds)' if len(one.runs) > 1 else '') + '.')
            for one in series]


def differences(series: Sequence[Series]) -> Iterator[str]:
    """Yield what makes runs hard to compare, and what is missing to compare them."""
    runs = [run for one in series for run in one.runs]
    if len({run.places for run in runs}) > 1:
        yield 'Memory and search were counted for maps of different sizes.'
    precisions = {str(run.settings.get('goal', {}).get('map_precision')) for run in runs}
    if len(precisions) > 1:
        yield f'Maps were kept in different precisions: {", ".join(sorted(precisions))}.'
    if len(engines := {point['speed']['engine'] for run in runs for point in run.points
                       if point['speed']}) > 1:
        yield f'Not all was timed on one engine: {", ".join(sorted(engines))}.'
    if len(runs) > 1 and all(len(one.runs) < 2 for one in series):
        yield ('Each kind of run was made with one seed, so how much is chance is not shown; '
               'prune again with --seed 1 and --seed 2, and give all folders.')


def _take(run: PruningRun) -> Iterator[Advice]:
    taken, dense = run.taken, run.dense
    if taken['step'] == 0:
        yield Advice('danger', f'Take the dense network: {run.why}.')
        return
    lost = drop_points(run, taken)
    text = (f'Take {taken["folder"]}: {run.why or "the last step"}. It recalls '
            f'{_recall(taken)} of the queries at once where the dense network recalls '
            f'{_recall(dense)}, with {number(taken["parameters"] / 1e6)} M instead of '
            f'{number(dense["parameters"] / 1e6)} M weights.')
    if lost > _BAD_POINTS:
        yield Advice('danger', f'{text} That is {lost:.1f} points less: learn longer (--epochs, '
                     '--last-epochs), give more pictures, or prune less (--sparsity).')
    else:
        yield Advice('good' if lost <= _GOOD_POINTS else 'hint', text)


def _sure(run: PruningRun) -> Iterator[Advice]:
    chosen = [one for one in run.taken['recalls'] if one['chooses']]
    for one in chosen:
        if one['pair'] == SELF_LABELLED:
            yield Advice('hint', 'It was judged by changed views of its own pictures, which is '
                         'easier than another day. Drive the same way again and give that bag '
                         'with --query (and --truth), or a labelled set with --validate.')
    queries = sum(one['queries'] for one in chosen)
    p = sum(one['at_1'] * one['queries'] for one in chosen) / queries
    sure = 100.0 * _SURE * (max(p * (1.0 - p), 0.25 / queries) / queries) ** 0.5
    yield Advice('hint', f'{count(queries)} queries choose: one of them is '
                 f'{number(100.0 / queries)} points of recall, and ± {rough(sure)} points are '
                 'within chance. Smaller differences in the figures mean little.')


def _tested(run: PruningRun) -> Iterator[Advice]:
    if mean_recall(run.taken, False) is None or run.taken['step'] == 0:
        return
    told = '; '.join(f'{before["pair"]} {before["at_1"]:.3f} → {after["at_1"]:.3f}'
                     for before, after in zip(run.dense['recalls'], run.taken['recalls'],
                                              strict=True) if not before['chooses'])
    lost = drop_points(run, run.taken, False)
    yield Advice('danger' if lost > _BAD_POINTS else 'good', f'On the test sets, by which nothing '
                 f'was chosen, dense → pruned: {told}.')


def _maps(run: PruningRun) -> Iterator[Advice]:
    taken = run.taken
    if taken['step'] == 0:
        return
    crossed = [one for one in taken['recalls'] if one['on_parents_map_at_1'] is not None]
    if crossed:
        told = ', '.join(f'{one["pair"]} {one["on_parents_map_at_1"]:.3f}' for one in crossed)
        yield Advice('hint', 'It describes in the space of the dense network and may query maps '
                     f'that this one has built: recall@1 {told}. Maps that exist stay usable.')
    else:
        yield Advice('hint', f'Its descriptor is smaller ({taken["dim"]} instead of '
                     f'{run.dense["dim"]} numbers): build maps again with it.')


def _instead(run: PruningRun) -> Iterator[Advice]:
    """Yield the control that recalls most in no more memory than the step to take."""
    room, taken = total_bytes(run.taken), run.taken
    fit = [each for each in run.controls if total_bytes(each) <= room]
    if not run.controls or taken['step'] == 0:
        return
    if not fit:
        yield Advice('good', 'No map of the dense network, however it is kept here, is as small '
                     f'as {taken["folder"]} and its map together.')
        return
    best = max(fit, key=lambda each: mean_recall(each, True) or 0.0)
    ours, theirs = mean_recall(taken, True) or 0.0, mean_recall(best, True) or 0.0
    yield Advice('good' if ours >= theirs else 'hint', (
        f'In as much memory, the dense network recalls {_recall(best)} with: {best["label"]} '
        f'({megabytes(total_bytes(best))} beside {megabytes(room)}), without any training. '
        + ('Its extraction is as slow as ever. ' if best['kind'] != 'int8 network' else '')
        + ('If memory is all that you are short of, take that. ' if theirs > ours else '')
        + 'The two add up: a map of the pruned network can be kept in fewer bits as well.'),
        'vpr map convert --help')


def _next(run: PruningRun) -> Iterator[Advice]:
    if run.taken['step'] > 0:
        yield Advice('hint', 'For int8, which makes it smaller and often faster again:',
                     f'vpr quantize {run.path / run.taken["folder"]} --images ...')


def _recall(point: Mapping[str, Any]) -> str:
    return f'{mean_recall(point, True) or 0.0:.3f}'
