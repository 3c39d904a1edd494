# SPDX-License-Identifier: Apache-2.0
"""The scan of a run: what each layer bears, kept in the run's folder, and what it proposes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch

from vpr_ros.compress.compress_config import CompressRun
from vpr_ros.compress.compress_folder import make_ready, SCAN
from vpr_ros.compress.compress_layers import LayerPlan, overridden
from vpr_ros.compress.compress_run import compressed_once, prepared
from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.finetune_state import fingerprint
from vpr_ros.compress.prune import prunable_card
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.sensitivity import (
    proposal_for_recall,
    Proposed,
    read_scan,
    scan,
    Scanned,
    write_scan,
)
from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import Network
from vpr_ros.nets.preprocess import preprocess
from vpr_ros.nets.torch_describer import load_network

Say = Callable[[str], object]


@dataclass(frozen=True)
class Budget:
    """What a proposal may cost: points of recall@1 that are lost before learning."""

    points: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.points <= 100.0:
            raise ModelError('--budget is points of recall@1 that may be lost before learning, 0 '
                             f'to 100, not {self.points:g}')


def scanned_plans(parent: Path, lessons: Lessons, judge: Judge, config: CompressRun, out: Path, *,
                  budget: Budget | None = None, force: bool = False, say: Say = print
                  ) -> list[LayerPlan] | None:
    """Write what each layer of a model bears to `out/scan.json`; return what a budget proposes.

    Without a budget, None. What patterns say of layers holds in any case. What a killed scan has
    found is kept, and a proposal is made once.
    Raises ModelError for a model that cannot be compressed, and a budget that cannot be met.
    """
    card = prunable_card(parent)
    dense = load_network(parent, card)
    plain, plans = prepared(dense, config)
    make_ready(out, force)
    compress, size = config.compress, (card.preprocessing.height_px, card.preprocessing.width_px)
    run = fingerprint({
        'parent': card.digest, 'layers': [plan.name for plan in plans], 'of': lessons.what,
        'wishes': compress.layers, 'rounds': compress.rounds, 'coarse': compress.coarse,
        'pictures': compress.scan_pictures, 'judged_on': judge.names})
    found = read_scan(out / SCAN, run)
    done = list(found.layers)
    torch.set_num_threads(config.learn.threads)
    pictures = torch.from_numpy(preprocess(lessons.unchanged(compress.scan_pictures, size),
                                           card.preprocessing))
    if len(done) < len(plans):
        for one in scan(plain, plans[len(done):], pictures, compress.rounds, compress.coarse):
            done.append(one)
            found = Scanned(run, len(pictures), tuple(done))
            write_scan(out / SCAN, found)
            say(f'layer {len(done)}/{len(plans)}  {one.name}: half of it zero turns descriptors '
                f'by {one.turned_by_half():.2g}')
    if budget is None:
        return None
    if found.proposed is not None and found.proposed.budget_points == budget.points:
        return list(found.proposed.plans)

    def recall_at_1(plans: Sequence[LayerPlan]) -> float:
        mended_by = pictures if compress.mend else None
        return _mean(judge, compressed_once(dense, config, overridden(plans, compress.wishes),
                                            mended_by), card)

    chosen, disagreement = proposal_for_recall(done, budget.points, _mean(judge, dense, card),
                                               recall_at_1, say)
    chosen = overridden(chosen, compress.wishes)
    write_scan(out / SCAN, replace(found, proposed=Proposed(budget.points, disagreement,
                                                            tuple(chosen))))
    return chosen


def _mean(judge: Judge, network: Network, card: ModelCard) -> float:
    """Return the mean recall@1 over the sets by which one chooses."""
    return fmean(each.at_1 for each in judge.recalls(network, card) if each.chooses)
