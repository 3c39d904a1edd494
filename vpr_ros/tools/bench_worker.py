# SPDX-License-Identifier: Apache-2.0
"""One thing to be measured, in a process of its own: told what to do by lines of JSON.

`python -m vpr_ros.tools.bench_worker '{"kind": "engine", ...}'`; a line in is the
name of a task, a line out what it took.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import json
import os
from pathlib import Path
import resource
import sys
import time
from types import SimpleNamespace
from typing import Any

Task = Callable[[], object]
_PLACES = 10_000
_JPEG_SIZE = (640, 480)  # width, height


def engine_tasks(told: Any) -> dict[str, Task]:
    """Return the network alone, on one preprocessed image and on a batch."""
    from vpr_ros.nets.engine_choice import probe_pictures
    from vpr_ros.nets.engines import Candidate, open_describer
    from vpr_ros.nets.model_folder import read_card
    from vpr_ros.nets.preprocess import preprocess
    folder = Path(told['folder'])
    card = read_card(folder)
    describer = open_describer(folder, card, told['threads'],
                               Candidate(told['engine'], told['precision']))
    pictures = probe_pictures(card)
    many = preprocess([pictures[i % len(pictures)] for i in range(told['batch'])],
                      card.preprocessing)
    return {'one': lambda: describer.describe_batch(many[:1]),
            'batch': lambda: describer.describe_batch(many)}


def stage_tasks(told: Any) -> dict[str, Task]:
    """Return what surrounds the network: decode, preprocess, search."""
    import cv2
    import numpy as np

    from vpr_ros.core.image import decode_image
    from vpr_ros.core.place_index import PlaceIndex
    from vpr_ros.datasets.world import training_images
    from vpr_ros.nets.model_folder import read_card
    from vpr_ros.nets.preprocess import preprocess
    cv2.setNumThreads(told['threads'])
    card = read_card(Path(told['folder']))
    (picture,) = training_images(7, 1, _JPEG_SIZE[::-1])
    _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, 90])
    message = SimpleNamespace(format='jpeg', data=jpeg.tobytes())
    rng = np.random.default_rng(0)
    places = rng.standard_normal((_PLACES, card.dim), np.float32)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    index, asked = PlaceIndex(places), places[17].copy()
    del places
    return {'decode': lambda: decode_image(message),
            'preprocess': lambda: preprocess([picture], card.preprocessing),
            'search': lambda: index.search(asked, 20)}


def torch_tasks(told: Any) -> dict[str, Task]:
    """Return large matrix products, and what counts the multiply-adds of the models."""
    from vpr_ros.nets.throughput import matrix_product, multiply_adds, set_threads
    set_threads(told['threads'])
    tasks: dict[str, Task] = {precision: product for precision in ('fp32', 'bf16', 'int8')
                              if (product := matrix_product(precision)) is not None}
    return {**tasks, **{f'count {folder}': partial(multiply_adds, Path(folder))
                        for folder in told['folders']}}


_KINDS = {'engine': engine_tasks, 'stages': stage_tasks, 'torch': torch_tasks}


def peak_memory_mb() -> float:
    """Return the most memory that this process has held.

    getrusage would count that of the process which started it.
    """
    try:
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024.0
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def serve(told: Any) -> None:
    """Answer tasks until the input ends."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(record: Any) -> None:
        answers.write(json.dumps(record) + '\n')
        answers.flush()

    try:
        tasks = _KINDS[told['kind']](told)
        for name, task in tasks.items():
            if name != 'batch' and not name.startswith('count '):  # memory is that of one image
                task()
        answer({'tasks': list(tasks)})
        for line in sys.stdin:
            name = line.strip()
            if name == 'memory':
                answer({'value': peak_memory_mb()})
                continue
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            value = tasks[name]()
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            answer({'wall_s': wall_s, 'cpu_s': cpu_s,
                    'value': value if isinstance(value, int) else None})
    except Exception as error:  # said by the process that asked
        answer({'error': f'{type(error).__name__}: {error}'})


if __name__ == '__main__':
    serve(json.loads(sys.argv[1]))
