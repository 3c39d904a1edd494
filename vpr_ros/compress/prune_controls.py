# SPDX-License-Identifier: Apache-2.0
"""What else the memory of a pruned network buys: the dense one, untrained, with a smaller map.

Grainge et al. (RA-L 2025) compare pruned networks with the dense one alone. Here it is also given
fewer numbers (PCA, plain truncation), fewer bits (float16, int8, product quantization), and both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.prune_judge import described, Judge, medians_ms, search_among
from vpr_ros.compress.prune_points import Point, Recalled, replace_tables, Speed
from vpr_ros.compress.quantize_judge import Seen
from vpr_ros.compress.reduced_descriptors import Principal, ProductQuantizer, truncated, unit
from vpr_ros.core.card import ModelCard
from vpr_ros.core.map_memory import descriptor_bytes
from vpr_ros.core.precision import Precision, stored
from vpr_ros.core.types import Descriptors
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.torch_describer import load_network

CONTROLS, TABLE = 'controls.json', 'controls.csv'
DENSE, PCA, TRUNCATION, PQ, INT8_NETWORK = 'map', 'pca', 'truncation', 'pq', 'int8 network'
_FEWEST_FITTED, _MOST_FITTED = 512, 2048   # pictures
_LESSON = 1_000_003    # of the views that fill up where there are few pictures
_MOST_DIMS, _LEAST_DIM = 8, 8
_ROUNDS = 10
_FLOAT_BYTES = 4
Say = Callable[[str], object]


@dataclass(frozen=True)
class Control:
    """The dense network with another map; memory and recall as of a Point.

    `model_bytes` include what a reduction needs beside the network: its axes or centroids, which
    `parameters` count as well. `speed`: the dense network's, and a search in such a map; None for
    maps that the localizer cannot search.
    """

    label: str
    kind: str
    dim: int
    bits: float
    parameters: int
    model_bytes: int
    map_bytes: int
    recalls: tuple[Recalled, ...]
    speed: Speed | None

    @property
    def total_bytes(self) -> int:
        """Network and map."""
        return self.model_bytes + self.map_bytes


@dataclass(frozen=True)
class Form:
    """How descriptors are kept: `kind` of reduction to `dim` numbers; `parts` of PQ, or 0."""

    kind: str
    dim: int
    precision: Precision
    parts: int = 0

    @property
    def label(self) -> str:
        """Say it in a few words."""
        if self.parts:
            return f'map in {self.parts} bytes a place (PQ)'
        kept = {DENSE: '', PCA: f'PCA to {self.dim}',
                TRUNCATION: f'first {self.dim} numbers'}[self.kind]
        bits = '' if self.precision is Precision.FLOAT32 and kept else (
            f'{self.precision.value} map')
        return ', '.join(filter(None, (kept, bits)))

    def map_bytes(self, places: int) -> int:
        """Return the bytes of the descriptors of a map."""
        if self.parts:
            return places * self.parts
        return descriptor_bytes(places, self.dim, self.precision)

    def extra(self, dense_dim: int) -> int:
        """Return how many numbers are kept beside the network, in float32."""
        if self.parts:
            return 256 * dense_dim
        return dense_dim * self.dim if self.kind == PCA else 0


def forms_for(points: Sequence[Point], places: int, precision: Precision) -> list[Form]:
    """Return the controls of a run whose maps are kept in `precision`, largest maps first.

    Numbers: those of the points, and a half, a quarter, an eighth of the dense descriptor. Bytes
    of PQ: as many as make network and map as large as a point, and a sixteenth of float32.
    """
    dense = points[0]
    shrunk = sorted({point.dim for point in points} - {dense.dim}, reverse=True)
    chosen = {shrunk[row] for row in np.linspace(0, len(shrunk) - 1, min(
        len(shrunk), _MOST_DIMS)).round().astype(int).tolist()} if shrunk else set()
    dims = sorted(chosen | {dim for part in (2, 4, 8) if (dim := dense.dim // part) >= _LEAST_DIM},
                  reverse=True)
    smaller = [each for each in Precision if each.bytes_each < precision.bytes_each]
    forms = [Form(DENSE, dense.dim, each) for each in smaller]
    forms += [Form(TRUNCATION, dim, precision) for dim in dims]
    forms += [Form(PCA, dim, each) for dim in dims for each in (precision, *smaller)]
    forms += [Form(PQ, dense.dim, precision, parts) for parts in _parts(points, places)]
    return forms


def _parts(points: Sequence[Point], places: int) -> list[int]:
    dense = points[0]
    codebook = 256 * dense.dim * _FLOAT_BYTES
    able = [parts for parts in range(1, dense.dim // 2 + 1) if dense.dim % parts == 0]
    wanted = [(point.total_bytes - dense.model_bytes - codebook) / places for point in points[1:]]
    found = {max((parts for parts in able if parts <= room), default=0) for room in wanted}
    found |= {max((parts for parts in able if parts <= dense.dim // 4), default=0)}
    return sorted(found - {0}, reverse=True)


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """What all controls share: the parent, its speed, and axes found on what is learned from."""

    parent: Path
    card: ModelCard
    dense: Point
    places: int
    fitted: Descriptors
    principal: Principal

    def kept(self, form: Form, seen: Sequence[Seen]) -> list[Seen]:
        """Return the sets as a form keeps them; queries are never rounded."""
        if form.parts:
            quantizer = ProductQuantizer.of(self.fitted, form.parts)
            return [Seen(quantizer.decoded(quantizer.encoded(one.places)), one.queries)
                    for one in seen]
        ways: dict[str, Callable[[Descriptors], Descriptors]] = {
            DENSE: unit, TRUNCATION: partial(truncated, dim=form.dim),
            PCA: partial(self.principal.reduced, dim=form.dim)}
        reduce = ways[form.kind]
        return [Seen(np.asarray(stored(reduce(one.places), form.precision)[:]),
                     reduce(one.queries)) for one in seen]

    def speed(self, form: Form) -> Speed | None:
        """Return the dense network's speed with a search in such a map, timed beside its own."""
        dense = self.dense.speed
        if dense is None or form.parts:
            return None
        search = search_among(self.places, form.dim, form.precision)
        both = [search_among(self.places, self.dense.dim), search]
        if form.kind == PCA:
            axes = np.ascontiguousarray(self.principal.axes[:, :form.dim])
            # Not by BLAS: the time of its threads would count, which mostly wait.
            both[1] = partial(_both, search, partial(np.einsum, 'i,ij->j', self.fitted[0], axes))
        of_dense_ms, ms = medians_ms(both, _ROUNDS)
        return replace(dense, describe_ms=dense.parent_describe_ms,
                       match_ms=dense.parent_match_ms * ms / of_dense_ms)

    def control(self, form: Form, seen: Sequence[Seen], judge: Judge) -> Control:
        """Return a form with its numbers."""
        extra, dense = form.extra(self.card.dim), self.dense
        map_bytes = form.map_bytes(self.places)
        recalls = judge.recalled(self.kept(form, seen))
        return Control(
            form.label, form.kind if form.precision is Precision.FLOAT32 or form.kind != PCA
            else 'pca + map', form.dim, 8.0 * map_bytes / (self.places * form.dim),
            dense.parameters + extra, dense.model_bytes + extra * _FLOAT_BYTES, map_bytes,
            tuple(replace(each, on_parents_map_at_1=None) for each in recalls), self.speed(form))


def controls_of(parent: Path, lessons: Lessons, judge: Judge, points: Sequence[Point],
                places: int, precision: Precision, out: Path, *,
                more: Callable[[], list[Control]] | None = None,
                device: torch.device | None = None, say: Say = print) -> list[Control]:
    """Return the controls of a run, and write them to its folder; what is there is not made again.

    Axes and centroids are found on what is learned from, never on a set that judges. `more` makes
    further controls, which take longer.
    """
    forms = forms_for(points, places, precision)
    card = read_card(parent)
    what = {'parent': card.digest, 'learns_from': lessons.what, 'judged_on': list(judge.names),
            'forms': [form.label for form in forms], 'places': places, 'more': more is not None}
    if (known := _known(out, what)) is not None:
        return known
    count = int(np.clip(2 * max(form.dim for form in forms if form.kind == PCA),
                        _FEWEST_FITTED, _MOST_FITTED))
    say(f'controls: the dense network describes {count} pictures to find axes, and what judges')
    network = load_network(parent, card).eval()
    if device is not None:
        network = network.to(device)
    describe = partial(described, network, card)
    fitted = describe(list(_pictures(lessons, card, count)))
    dense = DenseNetwork(parent, card, points[0], places, fitted, Principal.of(fitted))
    seen = list(judge.seen(describe))
    controls = []
    for number, form in enumerate(forms):
        if form.kind == PCA and form.dim > dense.principal.most:
            say(f'{form.label} is left out: {len(fitted)} pictures give '
                f'{dense.principal.most} axes')
            continue
        controls.append(dense.control(form, seen, judge))
        say(f'control {number + 1}/{len(forms)}  {_line(controls[-1])}')
    controls += more() if more is not None else []
    write_controls(controls, {**what, 'fitted_on': f'{count} pictures ({lessons.what})'}, out)
    return controls


def _pictures(lessons: Lessons, card: ModelCard, count: int) -> Iterator[Any]:
    """Yield pictures that are learned from; where they are few, views of them as well."""
    size = card.preprocessing.height_px, card.preprocessing.width_px
    plain = lessons.unchanged(count, size)
    yield from plain
    if (missing := count - len(plain)) > 0:
        whole = -(-missing // lessons.together) * lessons.together
        yield from lessons.views(_LESSON, whole, size, 0).pixels[:missing]


def write_controls(controls: Sequence[Control], what: dict[str, Any], folder: Path) -> None:
    """Replace the tables of controls, JSON with all and CSV with a line a control and set.

    Raises ModelError when they cannot be written; then they are what they were.
    """
    replace_tables(folder / CONTROLS, {'of': what, 'controls': [asdict(each)
                                                                for each in controls]},
                   folder / TABLE, [_row(control, recalled) for control in controls
                                    for recalled in control.recalls], 'control')


def read_controls(folder: Path) -> tuple[list[Control], dict[str, Any]]:
    """Return the controls of a run and what they are of.

    Raises ModelError where there are none.
    """
    try:
        record = json.loads((folder / CONTROLS).read_text(encoding='utf-8'))
        return [Control(**{**each, 'recalls': tuple(Recalled(**one) for one in each['recalls']),
                           'speed': None if each['speed'] is None else Speed(**each['speed'])})
                for each in record['controls']], dict(record['of'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{folder / CONTROLS} is no table of controls ({error}); run vpr prune '
                         'again') from error


def _known(folder: Path, what: dict[str, Any]) -> list[Control] | None:
    """Return the controls that are there already, None where they are none or others."""
    try:
        controls, of = read_controls(folder)
    except ModelError:
        return None
    return controls if all(of.get(key) == value for key, value in what.items()) else None


def _line(control: Control) -> str:
    recalls = '  '.join(f'{each.pair} {each.at_1:.3f}' for each in control.recalls)
    return f'{control.label}: {control.total_bytes / 1e6:.1f} MB  recall@1: {recalls}'


def _row(control: Control, recalled: Recalled) -> dict[str, Any]:
    speed = control.speed
    return {
        'control': control.label, 'kind': control.kind, 'parameters': control.parameters,
        'dim': control.dim, 'bits': round(control.bits, 4), 'model_bytes': control.model_bytes,
        'map_bytes': control.map_bytes, 'describe_ms': speed and round(speed.describe_ms, 3),
        'match_ms': speed and round(speed.match_ms, 4), 'engine': speed and speed.engine,
        'set': recalled.pair, 'chooses': recalled.chooses, 'queries': recalled.queries,
        'recall_at_1': round(recalled.at_1, 5), 'recall_at_5': round(recalled.at_5, 5),
    }


def _both(first: Callable[[], object], second: Callable[[], object]) -> None:
    first()
    second()
