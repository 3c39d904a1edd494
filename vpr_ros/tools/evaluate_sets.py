# SPDX-License-Identifier: Apache-2.0
"""Image sets x models x map settings: recall and what it costs, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import csv
from dataclasses import asdict, dataclass
import io
from itertools import product
import json
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from vpr_ros.core.block_bootstrap import Bootstrap
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.frame_scores import RECALL_AT
from vpr_ros.core.map_setting import EncodedMap, MapSetting
from vpr_ros.core.set_scores import score_set, SetScores
from vpr_ros.core.types import Describer
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import VprError
from vpr_ros.tools.set_descriptions import describe_images, Described

PROTOCOL = ('recall@N: share of queries with a positive among the N most similar map images, '
            'exact search by inner product, one picture at a time; "recall" over the queries '
            'that have a positive, "of all" over all queries; interval: 95 % by stretches of '
            'consecutive queries; PR area and recall at 100 % precision: best match of each '
            'query, ranked by its similarity; ms: describing alone, in batches of 16, without '
            'reading the file')
_MB = 1e6
_TABLE_WIDTH = 150


@dataclass(frozen=True)
class SetResult:
    """One row: which set, model and map setting; the scores; what it costs.

    `ms_per_image`: to describe, on the machine and at the time that it was described first.
    `search_ms`: to search, a query. `map_mb`: descriptors of the map, in 10^6 bytes.
    """

    set: str
    model: str
    model_digest: str
    engine: str
    input_px: str
    map_setting: str
    dim: int
    map_images: int
    scores: SetScores
    ms_per_image: float
    search_ms: float
    map_mb: float
    protocol: str

    def flat(self) -> dict[str, Any]:
        """Return the row with the scores beside the rest."""
        record = asdict(self)
        scores = record.pop('scores')
        protocol = record.pop('protocol')
        return {**record, **scores, 'protocol': protocol}


def evaluate_sets(pairs: Sequence[RunPair], describers: Sequence[Describer],
                  settings: Sequence[MapSetting] = (MapSetting(),), *,
                  cache: Path | None = None, bootstrap: Bootstrap | None = None,
                  say: Callable[[str], object] = lambda text: None) -> list[SetResult]:
    """Return a row for each pair, describer and map setting, in that order.

    Descriptions are kept below `cache` and found there again. Raises VprError when there is
    nothing to do, a set cannot be read, or a setting does not fit a model or a set.
    """
    if not (pairs and describers and settings):
        raise VprError('an evaluation needs at least one set, one model and one map setting')
    for pair, describer, setting in product(pairs, describers, settings):
        try:   # before hours of describing
            setting.refuse_beyond(len(pair.mapping.images), describer.card.dim)
        except VprError as error:
            raise VprError(f'{pair.name}, {describer.card.name}, {setting}: {error}') from error
    results = []
    for pair in pairs:
        positives = pair.metric_positives() if pair.positives is None else pair.positives
        for describer in describers:
            mapped = describe_images(pair.mapping.images, describer, cache, f'{pair.name}: map')
            asked = describe_images(pair.query.images, describer, cache, f'{pair.name}: queries')
            say(f'{pair.name}, {describer.card.name}: {mapped.fresh + asked.fresh} of '
                f'{len(mapped.descriptors) + len(asked.descriptors)} images described, the '
                'others were known')
            results += [_row(pair, positives, describer, setting, mapped, asked, bootstrap)
                        for setting in settings]
    return results


def _row(pair: RunPair, positives: Sequence[Sequence[int]], describer: Describer,
         setting: MapSetting, mapped: Described, asked: Described,
         bootstrap: Bootstrap | None) -> SetResult:
    places = EncodedMap(mapped.descriptors, setting)
    begun = perf_counter()
    found, similarity = places.search(asked.descriptors, max(RECALL_AT))
    search_ms = (perf_counter() - begun) * 1e3 / len(found)
    images = len(mapped.descriptors) + len(asked.descriptors)
    ms = (mapped.ms_per_image * len(mapped.descriptors)
          + asked.ms_per_image * len(asked.descriptors)) / images
    card, pre = describer.card, describer.card.preprocessing
    engine = ' '.join(str(getattr(describer, name, '')) for name in ('engine', 'precision'))
    return SetResult(
        pair.name, card.name, card.digest, engine.strip(),
        f'{pre.height_px}x{pre.width_px} {pre.resize.value}', str(setting), places.dim,
        len(places), score_set(found, similarity, positives, bootstrap), round(ms, 3),
        round(search_ms, 4), round(places.nbytes / _MB, 4), pair.protocol)


def write_sets(results: Sequence[SetResult], out: Path, force: bool,
               settings: dict[str, Any]) -> None:
    """Write results.json, results.csv and settings.json; raises VprError when `out` exists."""
    refuse_existing(out, force, VprError)
    with new_folder(out, force, VprError) as folder:
        (folder / 'results.json').write_text(json.dumps(
            {'schema': 1, 'protocol': PROTOCOL, 'results': [result.flat() for result in results]},
            indent=2) + '\n', encoding='utf-8')
        (folder / 'results.csv').write_text(as_csv(results), encoding='utf-8')
        (folder / 'settings.json').write_text(json.dumps(settings, indent=2) + '\n',
                                              encoding='utf-8')


def as_csv(results: Sequence[SetResult]) -> str:
    """Return the rows as a CSV table."""
    text = io.StringIO()
    rows = [_csv_row(result) for result in results]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_row(result: SetResult) -> dict[str, Any]:
    row = result.flat()
    low, high = row.pop('recall_at_1_interval') or (None, None)
    return {**row, 'recall_at_1_low': low, 'recall_at_1_high': high}


def print_sets(results: Sequence[SetResult], console: Console) -> None:
    """Print a table for each set, and how it was judged."""
    # As wide as it needs to be: a narrow terminal breaks lines, but no number is cut.
    wide = Console(file=console.file, width=max(console.width, _TABLE_WIDTH))
    for name in dict.fromkeys(result.set for result in results):
        rows = [result for result in results if result.set == name]
        first = rows[0]
        console.print(f'\n{name}: {first.map_images} map images, {first.scores.queries} queries, '
                      f'{first.scores.queries_with_match} of them with a positive',
                      highlight=False, soft_wrap=True, markup=False)
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ('model', 'map', 'dims', 'recall@1', '(95 %)', '@5', '@10', '@20',
                       '@1 of all', 'PR area', '@100 % prec.', 'ms/image', 'map MB'):
            table.add_column(column, justify='left' if column in ('model', 'map') else 'right',
                             no_wrap=True)
        for result in rows:
            table.add_row(*_cells(result))
        wide.print(table)
    for line in protocol_lines(results):
        console.print(line, style='dim', highlight=False, soft_wrap=True, markup=False)


def protocol_lines(results: Sequence[SetResult]) -> Iterator[str]:
    """Yield how the numbers came about, and what to mind about them."""
    for name, protocol in dict.fromkeys((r.set, r.protocol) for r in results):
        yield f'{name}: {protocol}'
    for model, size, engine in dict.fromkeys((r.model, r.input_px, r.engine) for r in results):
        yield f'{model}: images to {size}' + (f', by {engine}' if engine else '')
    yield f'protocol: {PROTOCOL}'
    for name, scores in {r.set: r.scores for r in results}.items():
        if scores.queries_with_match == 0:
            yield (f'no query of {name} has a positive: nothing can be recalled; is the tolerance '
                   'too small, or are the positions of map and query in different frames?')


def _cells(result: SetResult) -> list[str]:
    scores = result.scores
    interval = scores.recall_at_1_interval
    shares = [_share(value) for value in (
        scores.recall_at_5, scores.recall_at_10, scores.recall_at_20, scores.recall_at_1_of_all,
        scores.pr_area, scores.recall_at_full_precision)]
    return [result.model, result.map_setting, str(result.dim), _share(scores.recall_at_1),
            '-' if interval is None else f'{interval[0]:.3f}-{interval[1]:.3f}', *shares,
            f'{result.ms_per_image:.1f}', f'{result.map_mb:.2f}']


def _share(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
