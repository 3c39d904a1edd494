# SPDX-License-Identifier: Apache-2.0
"""`vpr evaluate` for one map and model, or for several of them beside one another."""

from __future__ import annotations

from collections.abc import Sequence
import csv
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from vpr_ros import __version__
from vpr_ros.core.folder import refuse_existing
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.knobs import flat
from vpr_ros.errors import VprError
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.description_cache import DescriptionCache
from vpr_ros.tools.description_key import bag_identity
from vpr_ros.tools.evaluate_bags import Looking
from vpr_ros.tools.evaluate_pairings import Pairing, pairings
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.evaluation_page import no_comparison, no_page
from vpr_ros.tools.params_file import node_parameters, read_config
from vpr_ros.tools.print_evaluation import PAGE, print_next, print_report
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.through_node import NodeSettings
from vpr_ros.tools.write_evaluation import write_evaluation


@dataclass(frozen=True)
class Asked:
    """What is the same for every evaluation of a command."""

    bags: tuple[Path, ...]
    source: QuerySource
    tolerance: Tolerance
    engine: str = 'auto'
    threads: int = 0
    salvage: bool = False
    thumbnails: bool = True
    cache: Path | None = None    # None: descriptions are not kept
    node_rate: float | None = None   # how fast to play to the real node; None: in process
    bag: Path | None = None          # of what was said; None: none is written

    def node(self, pair: Pairing) -> NodeSettings | None:
        """Return how the node is run on a pair, or None: it is evaluated in process."""
        if self.node_rate is None:
            return None
        return NodeSettings(self.node_rate, pair.params, pair.model, self.engine, self.threads)


def evaluate_pairings(asked: Asked, maps: Sequence[Path], models: Sequence[Path],
                      params: Sequence[Path], out: Path, force: bool, console: Console) -> None:
    """Evaluate each map with its model and each file of settings; one alone is `out` itself."""
    pairs, remarks = pairings(maps, models, params)
    for remark in remarks:
        console.print(remark, style='yellow', highlight=False, soft_wrap=True)
    alone = max(len(maps), len(models), len(params)) <= 1
    if asked.bag is not None and not alone:
        raise VprError('--write-bag is for one map, model and parameter file at a time')
    if alone:
        evaluate_one(asked, pairs[0], out, force, console)
    else:
        evaluate_several(asked, pairs, out, force, console)


def evaluate_one(asked: Asked, pair: Pairing, out: Path, force: bool, console: Console) -> None:
    """Evaluate one pair into the folder `out`, and print what came of it."""
    refuse_existing(out, force, VprError)
    describer = _load(asked, pair, console)
    evaluation = _evaluated(asked, pair, out, describer, force, console)
    print_report(evaluation.report, console)
    console.print(f'accepted from a probability of {evaluation.threshold:.4f}'
                  + ('' if evaluation.calibration is None else
                     f', the calibration of the map by {evaluation.calibration.source}'),
                  highlight=False)
    print_next(out, console)


def evaluate_several(asked: Asked, pairs: Sequence[Pairing], out: Path, force: bool,
                     console: Console) -> None:
    """Evaluate each pair into a folder of its own in `out`, and write a comparison of all.

    What is there with the same settings is not done again. One that fails does not keep the
    others from being done; in the end VprError names all that failed.
    """
    failed: dict[str, str] = {}
    done: list[Path] = []
    describer: EngineDescriber | None = None
    model: Path | None = None
    for number, pair in enumerate(pairs, 1):
        folder = out / pair.name
        console.print(f'\n{number} of {len(pairs)}: {pair.name}', style='bold', highlight=False)
        try:
            if describer is None or model != pair.model:
                describer, model = _load(asked, pair, console), pair.model
            if not force and _is_done(folder, job_digest(asked, pair, describer)):
                console.print('done before, with the same settings', highlight=False)
                if not (folder / PAGE).exists():
                    for remark in no_page(folder):
                        console.print(remark, style='yellow', highlight=False, soft_wrap=True)
            else:
                evaluation = _evaluated(asked, pair, folder, describer, force, console)
                print_report(evaluation.report, console, brief=True)
            done.append(folder)
        except VprError as error:
            failed[pair.name] = ' '.join(str(error).split())
            console.print(failed[pair.name], style='red', highlight=False, soft_wrap=True)
    if done:
        write_comparison_table(out / 'comparison.csv', done)
        remarks = list(no_comparison(done, out / 'comparison.html'))
        for remark in remarks:
            console.print(remark, style='yellow', highlight=False, soft_wrap=True)
        page = '' if remarks else f'{out / "comparison.html"}, '
        console.print(f'\nall beside one another: {page}{out / "comparison.csv"}',
                      highlight=False, soft_wrap=True)
    if failed:
        raise VprError(f'{len(failed)} of {len(pairs)} evaluations failed: ' + '; '.join(
            f'{name} ({why})' for name, why in failed.items()))


def _load(asked: Asked, pair: Pairing, console: Console) -> EngineDescriber:
    describer = load_describer(pair.model, asked.threads, asked.engine)
    console.print(f'network: {describer.choice}', style='dim', highlight=False, soft_wrap=True)
    return describer


def _evaluated(asked: Asked, pair: Pairing, out: Path, describer: EngineDescriber, force: bool,
               console: Console) -> Evaluation:
    cache = (None if asked.cache is None else
             DescriptionCache(asked.cache, _run_by(asked, describer)))
    evaluation = write_evaluation(
        asked.bags, pair.place_map, out, describer, read_config(pair.params), asked.source,
        asked.tolerance, asked.salvage, force, describer.choice,
        looking=Looking(cache, asked.thumbnails), model_folder=pair.model,
        job=job_digest(asked, pair, describer), node=asked.node(pair), bag=asked.bag)
    remarks = (*evaluation.remarks, *no_page(out))
    for remark in remarks:
        console.print(remark, style='yellow', highlight=False, soft_wrap=True)
    if evaluation.described:
        console.print(evaluation.described, style='dim', highlight=False, soft_wrap=True)
    return evaluation


def _run_by(asked: Asked, describer: EngineDescriber) -> str:
    return f'{describer.engine} {describer.precision}, threads {asked.threads}'


def job_digest(asked: Asked, pair: Pairing, describer: EngineDescriber) -> str:
    """Return the digest of all that an evaluation depends on."""
    record = {
        'version': __version__, 'bags': [bag_identity(bag) for bag in asked.bags],
        'source': asked.source.record(), 'tolerance': [asked.tolerance.m, asked.tolerance.deg],
        'run_by': _run_by(asked, describer), 'salvage': asked.salvage,
        'thumbnails': asked.thumbnails, 'map': bag_identity(pair.place_map),
        'card': describer.card.to_json(), 'config': flat(read_config(pair.params)),
        **({} if pair.params is None or asked.node_rate is None else
           {'node': repr(node_parameters(pair.params))}), 'rate': asked.node_rate}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _is_done(folder: Path, job: str) -> bool:
    """Say whether an evaluation is there; raise VprError when it is of other settings."""
    if not folder.exists():
        return False
    try:
        known = json.loads((folder / 'settings.json').read_bytes()).get('job')
    except (OSError, ValueError, AttributeError):
        known = None
    if known != job:
        raise VprError(f'{folder} exists already and was made with other settings; choose another '
                       '--out or pass --force to replace it')
    return True


def write_comparison_table(path: Path, folders: Sequence[Path]) -> None:
    """Write a line for each evaluation: what was compared, and every number of its report."""
    rows: list[dict[str, Any]] = []
    for folder in folders:
        settings = json.loads((folder / 'settings.json').read_bytes())
        report = json.loads((folder / 'report.json').read_bytes())
        rows.append({'name': folder.name, **{key: settings[key] for key in (
            'map', 'model', 'engine', 'threshold', 'calibrated')},
            **{key: '' if value is None else value for key, value in report.items()
               if not isinstance(value, dict)},
            **{f'reason_{reason}': frames for reason, frames in report['reasons'].items()}})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open('w', encoding='utf-8', newline='') as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)
