# SPDX-License-Identifier: Apache-2.0
"""Kill a pruning run at random moments and go on: it must end with the same table and weights.

`python bench/prune_kill.py --kills 10 --work DIR`; `--once OUT` makes the run itself, also under
torchrun.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import json
from pathlib import Path
import random
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

SIDE_PX = 32
WHEN = ('any moment', 'while it saves', 'while it writes a model')


def small_run(parent: Path, out: Path, given: dict[str, Any]) -> None:
    """Prune a tiny network in a few steps, learning from noise; `given` changes knobs."""
    from vpr_ros.compress.finetune_data import Labelled
    from vpr_ros.compress.finetune_ranks import ranks
    from vpr_ros.compress.prune_config import RunConfig
    from vpr_ros.compress.prune_judge import Judge
    from vpr_ros.compress.prune_run import Goal, prune_and_learn
    from vpr_ros.compress.self_labelled import self_labelled
    images = pictures(24)
    knobs: dict[str, Any] = {
        'sparsity': 0.5, 'gamma': 0.5, 'steps': 3, 'criterion': 'taylor', 'epochs': 2,
        'last_epochs': 1, 'views': 32, 'batch': 16, 'ema': 0.9, 'views_per_place': 2,
        'multiple': 4, 'freeze': ['backbone.features.1'], **given}
    config = RunConfig.read(None, **knobs)
    lessons = Labelled(images, _pairs(len(images)), config.learn.views_per_place)
    with ranks('cpu') as here:
        prune_and_learn(parent, lessons, Judge([self_labelled(images[:8])]), config,
                        Goal(measure_speed=False), out, ranks=here,
                        say=lambda line: print(line, flush=True))


def write_parent(folder: Path) -> None:
    """Write a tiny network with random weights, that has seen pictures, as a model folder."""
    import numpy as np
    import torch

    from vpr_ros.core.card import Preprocessing
    from vpr_ros.nets.export import card_of, write_model
    from vpr_ros.nets.network import build_network
    torch.manual_seed(0)
    head = {'channels': 16, 'grid': 2}
    network = build_network('mobilenet_v2', 'features.4', 'convap', head, 0.25)
    seen = torch.from_numpy(np.stack(pictures(24))).permute(0, 3, 1, 2) / 128.0 - 1.0
    for _ in range(50):
        network.train()(seen)   # norms count; weights stay
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         head, Preprocessing(SIDE_PX, SIDE_PX), 'Apache-2.0'))


def pictures(count: int) -> list[Any]:
    """Return pictures of large random patches, (64, 64, 3) uint8."""
    import numpy as np
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (8, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(count)]


def _pairs(count: int) -> Any:
    import numpy as np
    return np.repeat(np.arange(count // 2), 2)


def table(out: Path) -> list[Any]:
    """Return all that a run came to: points, and the weights' digest of each step."""
    from vpr_ros.compress.prune_points import read_points
    from vpr_ros.nets.model_folder import read_card
    points, _ = read_points(out)
    return [(replace(point, speed=None),
             read_card(out / point.folder).digest if point.folder else '') for point in points]


def killed(run: Sequence[str], out: Path, when: str, seconds: float, rng: random.Random) -> bool:
    """Start the run and kill it; return whether that came before its end."""
    moment, wanted = rng.uniform(0.0, seconds), rng.randrange(1, 4)
    state, before, changes = out / 'state.pt', 0, 0
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL)
    start = time.monotonic()
    while process.poll() is None:
        if when == WHEN[0]:
            due = time.monotonic() - start >= moment
        elif when == WHEN[1]:
            now = state.stat().st_mtime_ns if state.exists() else 0
            changes, before = changes + (now != before), now
            is_saving = (out / '.state.pt.part').exists()
            due = changes > wanted or (changes == wanted and is_saving)
        else:
            due = any(True for _ in out.glob('.step_*'))
        if due:
            process.kill()
            break
        time.sleep(0.0005)
    is_killed = process.wait() < 0
    print(f'{when}, after {time.monotonic() - start:.1f} s: '
          f'{"killed" if is_killed else "it was done"}', flush=True)
    return is_killed


def ends_alike(run: Sequence[str], out: Path, wanted: Sequence[Any]) -> bool:
    """Let a run end; return whether it came to what is `wanted`, and left nothing lying about."""
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    left = [path.name for path in out.iterdir() if path.name.startswith('.')]
    found = table(out)
    print(f'{len(found)} points, equal: {found == wanted}, left over: {left}', flush=True)
    return found == wanted and not left


def main() -> None:
    """Compare an undisturbed run with a killed one; leaves with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work', type=Path)
    parser.add_argument('--once', type=Path)
    parser.add_argument('--knobs', type=json.loads, default={})
    flags = parser.parse_args()
    work = flags.work or Path(tempfile.mkdtemp(prefix='prune_kill.'))
    parent = work / 'parent'
    if flags.once is not None:
        small_run(parent, flags.once, flags.knobs)
        return
    if not parent.exists():
        write_parent(parent)
    call = [sys.executable, __file__, '--work', str(work), '--knobs', json.dumps(flags.knobs)]
    whole, out, rng = work / 'whole', work / 'killed', random.Random(flags.seed)
    run = [*call, '--once', str(out)]
    start = time.monotonic()
    subprocess.run([*call, '--once', str(whole)], check=True)
    seconds, wanted = time.monotonic() - start, table(whole)
    landed, tries, are_alike = 0, 0, True
    while landed < flags.kills:
        if killed(run, out, WHEN[tries % len(WHEN)], 0.7 * seconds, rng):
            landed += 1
        else:   # it came to its end: begin anew
            are_alike &= ends_alike(run, out, wanted)
            shutil.rmtree(out)
        tries += 1
    are_alike &= ends_alike(run, out, wanted)
    print(f'{landed} kills in {tries} tries, all ends equal: {are_alike}')
    sys.exit(0 if are_alike else 1)


if __name__ == '__main__':
    main()
