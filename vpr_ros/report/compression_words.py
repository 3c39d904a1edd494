# SPDX-License-Identifier: Apache-2.0
"""A compression in plain words: what to take, what it costs, what it does not do."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from vpr_ros.report.advice import Advice
from vpr_ros.report.compression_run import CompressionRun, Record, smaller_by, sparsity
from vpr_ros.report.pruning_run import mean_recall
from vpr_ros.report.pruning_words import megabytes, SELF_LABELLED
from vpr_ros.report.words import count, number, rough

_GOOD_POINTS, _BAD_POINTS, _SURE = 1.0, 3.0, 1.96


def lost_points(run: CompressionRun, point: Record, chooses: bool = True) -> float:
    """Return by how many points of recall@1 a step is below the dense network."""
    dense, found = (mean_recall(each, chooses) or 0.0 for each in (run.dense, point))
    return 100.0 * (dense - found)


def headline(run: CompressionRun) -> str:
    """Return the run in one line."""
    taken = run.taken
    if taken['step'] == 0:
        return 'No step recalls enough: keep the dense network'
    return (f'{megabytes(taken["packed_bytes"])} instead of '
            f'{megabytes(run.dense["weights_bytes"])}, 1/{smaller_by(run, taken):.1f}; recall@1 '
            f'{_recall(taken)} instead of {_recall(run.dense)}')


def advise(run: CompressionRun) -> list[Advice]:
    """Return what to take and why, and what to know before."""
    return [*_take(run), *_kernels(run), *_sure(run), *_tested(run), *_maps(run), *_rivals(run)]


def _take(run: CompressionRun) -> Iterator[Advice]:
    taken = run.taken
    if taken['step'] == 0:
        yield Advice('danger', f'Take the dense network: {run.why}.')
        return
    lost = lost_points(run, taken)
    text = (f'Take model.vprz, step {taken["step"]}: {run.why or "the last step"}. '
            f'{sparsity(taken):.0%} of the weights are zero, and it recalls {_recall(taken)} of '
            f'the queries at once where the dense network recalls {_recall(run.dense)}.')
    if lost > _BAD_POINTS:
        yield Advice('danger', f'{text} That is {lost:.1f} points less: learn longer (--epochs, '
                     '--last-epochs), give more pictures, prune less (--prune) or take more bits '
                     '(--bits).')
    else:
        yield Advice('good' if lost <= _GOOD_POINTS else 'hint', text)


def _kernels(run: CompressionRun) -> Iterator[Advice]:
    yield Advice('hint', 'The file is small; the network is as fast as before, and as large once '
                 'it is loaded: engines compute with all weights, zeros too. For time, delete '
                 'channels before, or let it end in int8; both add up with this.',
                 'vpr prune --help')


def _sure(run: CompressionRun) -> Iterator[Advice]:
    chosen = [one for one in run.taken['recalls'] if one['chooses']]
    if any(one['pair'] == SELF_LABELLED for one in chosen):
        yield Advice('hint', 'It was judged by changed views of its own pictures, which is easier '
                     'than another day. Drive the same way again and give that bag with --query '
                     '(and --truth), or a labelled set with --validate.')
    queries = sum(one['queries'] for one in chosen)
    p = fmean(one['at_1'] for one in chosen)
    sure = 100.0 * _SURE * (max(p * (1.0 - p), 0.25 / queries) / queries) ** 0.5
    yield Advice('hint', f'{count(queries)} queries choose: one of them is '
                 f'{number(100.0 / queries)} points of recall, and ± {rough(sure)} points are '
                 'within chance. Smaller differences in the figures mean little.')


def _tested(run: CompressionRun) -> Iterator[Advice]:
    if mean_recall(run.taken, False) is None or run.taken['step'] == 0:
        return
    told = '; '.join(f'{before["pair"]} {before["at_1"]:.3f} → {after["at_1"]:.3f}'
                     for before, after in zip(run.dense['recalls'], run.taken['recalls'],
                                              strict=True) if not before['chooses'])
    yield Advice('danger' if lost_points(run, run.taken, False) > _BAD_POINTS else 'good',
                 f'On the test sets, by which nothing was chosen, dense → compressed: {told}.')


def _maps(run: CompressionRun) -> Iterator[Advice]:
    crossed = [one for one in run.taken['recalls'] if one['on_parents_map_at_1'] is not None]
    if run.taken['step'] and crossed:
        told = ', '.join(f'{one["pair"]} {one["on_parents_map_at_1"]:.3f}' for one in crossed)
        yield Advice('hint', 'It describes in the space of the dense network and may query maps '
                     f'that this one has built: recall@1 {told}. Maps that exist stay usable.')


def _rivals(run: CompressionRun) -> Iterator[Advice]:
    """Yield another model of the table that is as small and recalls more, or smaller and as good.

    Those that were made of what is to be taken do not count.
    """
    taken = run.taken
    if taken['step'] == 0:
        return
    ours = mean_recall(taken, True) or 0.0
    better = [row for row in run.models if row['packed_bytes'] < taken['packed_bytes']
              and (mean_recall(row, True) or 0.0) >= ours]
    if better:
        best = max(better, key=lambda row: mean_recall(row, True) or 0.0)
        yield Advice('hint', f'{best["label"]} ({best["kind"]}) is smaller, '
                     f'{megabytes(best["packed_bytes"])}, and recalls {_recall(best)}.')


def _recall(point: Record) -> str:
    return f'{mean_recall(point, True) or 0.0:.3f}'
