# SPDX-License-Identifier: Apache-2.0
"""From starting the node's process to active, with a map of 1,000 places.

`python bench/node_start.py [--model DIR] [--threads N] [--engines E ...] [--rounds N]`

The engines are taken in turns; what auto measures was measured before the first round, as before
every start of a robot but the first. The target is 1.5 s on an idle computer:
processor time is that, wall time is with whatever else ran.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

from node_process import map_of
import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.nets.model_folder import load_describer

_ROOT = Path(__file__).parents[1]
_PLACES = 1000
_NODE = """
import json, sys, time
import rclpy
from vpr_ros.ros.relocalizer_node import RelocalizerNode
rclpy.init(args=sys.argv)
node = RelocalizerNode()
assert node.start()
heavy = sorted({'torch', 'onnxruntime', 'openvino', 'scipy.sparse'} & set(sys.modules))
print(json.dumps([time.monotonic(), time.process_time(), heavy]), flush=True)
node.destroy_node()
rclpy.shutdown()
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--engines', nargs='+', default=['auto', 'onnxruntime', 'openvino'])
    parser.add_argument('--rounds', type=int, default=7)
    flags = parser.parse_args()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    describer = load_describer(flags.model, flags.threads)
    place_map, _ = map_of(describer, _PLACES, 64, 48)
    with TemporaryDirectory() as scratch:
        place_map.save(Path(scratch) / 'bench.map')
        arguments = ['-p', f'map:={scratch}/bench.map', '-p', f'threads:={flags.threads}',
                     *(['-p', f'model:={flags.model}'] if flags.model else [])]
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in flags.engines}
        loaded = {}
        for _ in range(flags.rounds):
            for name in flags.engines:
                wall_s, cpu_s, loaded[name] = _start([*arguments, '-p', f'engine:={name}'])
                spent[name].append((wall_s, cpu_s))
    table = Table(title=f'{describer.card.name}, {_PLACES} places, {flags.threads} thread(s), '
                  f'{flags.rounds} rounds')
    for column in ('engine', 'wall, s', 'least', 'processor, s', 'imported'):
        table.add_column(column)
    for name, times in spent.items():
        wall_s, cpu_s = np.median(times, axis=0)
        table.add_row(name, f'{wall_s:.2f}', f'{min(times)[0]:.2f}', f'{cpu_s:.2f}',
                      ', '.join(loaded[name]))
    Console(width=110).print(table)


def _start(arguments: list[str]) -> tuple[float, float, list[str]]:
    started = time.monotonic()
    run = subprocess.run([sys.executable, '-c', _NODE, '--ros-args', *arguments],
                         env={**os.environ, 'PYTHONPATH': str(_ROOT)}, text=True, check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    active_s, cpu_s, heavy = json.loads(run.stdout.splitlines()[-1])
    return active_s - started, cpu_s, heavy


if __name__ == '__main__':
    main()
