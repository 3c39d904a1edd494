# SPDX-License-Identifier: Apache-2.0
"""Age of what is judged, and memory, with a camera that is faster than the network.

`python bench/node_overload.py [--model DIR] [--threads N] [--frames N] [--speed X]`

Images of 320x240 come `speed` times as fast as the network can describe them. The target: the age
of a frame when it was judged is at most two inference times (one to wait for, one of its own), and
the memory of the node stays flat over 5,000 frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import time

from node_process import map_of, message_of, relocalizer
import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.nets.model_folder import load_describer

_WARM_UP = 500  # frames after which all buffers have their size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--frames', type=int, default=5000)
    parser.add_argument('--speed', type=float, default=3.0)
    flags = parser.parse_args()
    describer = load_describer(flags.model, flags.threads)
    place_map, pictures = map_of(describer, 60, 320, 240)
    started = time.monotonic()
    for picture in pictures:
        describer.describe([picture])
    alone_s = (time.monotonic() - started) / len(pictures)
    messages = [message_of(picture) for picture in pictures]
    rss_mb: list[float] = []
    with relocalizer(place_map, flags.model, flags.threads) as bench:
        bench.connect(pictures[0])
        bench.statuses.clear()
        started = time.monotonic()
        for shown in range(_WARM_UP + flags.frames):
            bench.show(messages[shown % len(messages)])
            bench.spin(started + (shown + 1) * alone_s / flags.speed - time.monotonic())
            if shown >= _WARM_UP and shown % 500 == 0:
                rss_mb.append(bench.rss_mb)
        took_s = time.monotonic() - started
        bench.spin(1.0)
        rss_mb.append(bench.rss_mb)
        judged = [values for _, values in bench.statuses]
    inference_ms = np.array([float(values['describe_ms']) for values in judged])
    age_ms = np.array([float(values['age_ms']) for values in judged])
    table = Table(title=f'{describer.card.name}, {flags.threads} thread(s), '
                  f'{(_WARM_UP + flags.frames) / took_s:.0f} images/s of 320x240')
    for column in ('', 'p50', 'p95', 'most'):
        table.add_column(column, justify='right' if column else 'left')
    for name, values in (('inference in the node, ms', inference_ms),
                         ('age of the judged frame, ms', age_ms),
                         ('age in inference times', age_ms / np.median(inference_ms))):
        table.add_row(name, *(f'{value:.1f}' for value in (
            np.median(values), np.percentile(values, 95), values.max())))
    console = Console(width=100)
    console.print(table)
    console.print(f'{_WARM_UP + flags.frames} images shown, {len(judged)} judged; memory in MB '
                  f'from image {_WARM_UP} on: {" ".join(f"{mb:.0f}" for mb in rss_mb)}')


if __name__ == '__main__':
    main()
