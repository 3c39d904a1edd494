# SPDX-License-Identifier: Apache-2.0
"""The commands `vpr export`, `vpr quantize` and `vpr bench`: a network made fast, and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from vpr_ros.errors import ModelError
from vpr_ros.tools.model_commands import parse_size, refuse_without_torch

_NO = Parameter(negative=())


def add_engine_commands(app: App) -> None:
    """Give `app` the commands of this file."""
    for command in (export, quantize, bench):
        app.command(command)


def export(model: Path, /, *, out: Path, size: str = '', images: Path | None = None,
           image: str = '', force: Annotated[bool, _NO] = False) -> None:
    """Export a model's graph anew, for any batch and one input size (needs torch).

    Another size is another model: it needs maps of its own. Engines are compared with torch.

    Parameters
    ----------
    model
        Folder of the model; it is not changed.
    out
        Folder of the new model.
    size
        Input size in pixels, 480x640 (height x width) or 320; left out: the model's. MixVPR has
        learnt one size, and others are refused.
    images
        Folder of pictures, or a bag, to compare on; left out: rendered ones.
    image
        Image topic of the bag; left out: its only one.
    force
        Replace an existing folder.
    """
    refuse_without_torch()
    from vpr_ros.tools.export_model import export_model
    card = export_model(model, out, parse_size(size), images, image, force)
    console = Console()
    parity = card.notes['parity']
    for engine, cosine in parity['least_cosine'].items():
        console.print(f'{engine}: cosine {cosine:.6f} at least, with {parity["with"]}',
                      highlight=False, soft_wrap=True)
    pre = card.preprocessing
    console.print(f'{card.name}, {card.dim}-d, images to {pre.height_px}x{pre.width_px}, '
                  f'{card.digest[:12]}, written to {out}', highlight=False, soft_wrap=True)
    if card.notes.get('made_by') == 'vpr export':
        console.print('another input size is another model: maps must be built with it, and its '
                      'recall is yet to be measured (vpr evaluate)', highlight=False,
                      soft_wrap=True)


def quantize(model: Path, /, *, images: Path, out: Path, image: str = '', truth: str = '',
             query: Path | None = None, set: str = '', shared: Path | None = None,
             format: str = 'both', count: int | None = None,
             max_recall_drop: float | None = None, learn: int = 0, views: int | None = None,
             learning_rate: float | None = None, tolerance_m: float | None = None,
             tolerance_deg: float | None = None, base_frame: str | None = None,
             map_frame: str | None = None, max_gap_s: float | None = None,
             force: Annotated[bool, _NO] = False) -> None:
    """Make an int8 model, and refuse it when it recalls less than its parent.

    Where no truth is given, images are labelled by themselves: a stand-in, and said to be one.

    Parameters
    ----------
    model
        Folder of the float model; it is not changed.
    images
        Folder of pictures, or a bag, like what the robot will see.
    out
        Folder of the new model. Its descriptors need maps built by it.
    image
        Image topic of the bag; left out: its only one.
    truth
        Source of true poses in the bag, a topic or tf: the earlier half is mapped, the later
        half found in it.
    query
        A second bag with the same topics, to be found in the first.
    set
        A known set to judge on: corridor, indoor_two_laps, stromovka_summer_winter, campus_loop,
        webcam_seasons.
    shared
        Folder of the known sets.
    format
        onnxruntime, openvino or both: the engines that get a graph.
    count
        Images to measure scales on, evenly spread (default 256).
    max_recall_drop
        Refuse when recall@1 falls by more than this many points of 100 (default 1).
    learn
        Let the int8 network learn for so many epochs from the float one, by views of the images
        (needs torch, and minutes to hours): for networks that lose too much without.
    views
        Views of an epoch, each learned from twice (default 512).
    learning_rate
        At its height (default 0.0003).
    tolerance_m
        A place is right within this distance (default 2.0).
    tolerance_deg
        And within this angle (default 45).
    base_frame
        Frame of the robot in /tf (default base_link).
    map_frame
        Frame of the map in /tf (default: the root of the tree).
    max_gap_s
        Longest gap in the true poses that may be bridged (default 1.0).
    force
        Replace an existing folder, and write also what recalls less.
    """
    from vpr_ros.core.scoring import Tolerance
    from vpr_ros.tools.picture_source import BagCamera
    from vpr_ros.tools.quantize_model import Labels, quantize_model, quantized_lines
    tolerance = Tolerance(**_given(m=tolerance_m, deg=tolerance_deg))
    camera = BagCamera(images, image, truth, **_given(
        base_frame=base_frame, map_frame=map_frame, max_gap_s=max_gap_s))
    learning, knobs = None, _given(views=views, learning_rate=learning_rate)
    if learn:
        refuse_without_torch()
        from vpr_ros.compress.quantize_aware import Learning
        learning = Learning(learn, **knobs)
    elif knobs:
        flags = ' and '.join(f'--{name.replace("_", "-")}' for name in knobs)
        raise ModelError(f'{flags}: for how many epochs? give --learn')
    console, progress = Console(), Console(stderr=True)
    done = quantize_model(model, camera, out, Labels(query, set, shared, tolerance), form=format,
                          learning=learning, force=force,
                          say=lambda text: progress.print(text, style='dim', highlight=False),
                          **_given(count=count, max_drop_points=max_recall_drop))
    for line in quantized_lines(done, out):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f'protocol: {done.protocol}', style='dim', highlight=False, soft_wrap=True)


def bench(models: Annotated[list[Path], Parameter(negative=())], /, *, dense: Path | None = None,
          engines: str = '', threads: int = 1, rounds: int | None = None,
          json: Path | None = None) -> None:
    """Measure models on this computer: every engine and precision, in turns.

    Parameters
    ----------
    models
        Model folders; int8 ones as vpr quantize writes them.
    dense
        The model whose time in torch fp32 is 1; left out: the first one.
    engines
        Such as onnxruntime,openvino,torch; left out: all that are installed.
    threads
        Threads of every engine.
    rounds
        How often each takes its turn (default 15).
    json
        Write all numbers to this file.
    """
    from vpr_ros.tools.bench import bench_models
    from vpr_ros.tools.bench_records import BenchConfig
    from vpr_ros.tools.bench_tables import print_bench, write_bench
    if not models:
        raise ModelError('bench what? give one or more model folders')
    config = BenchConfig(threads=threads, **_given(rounds=rounds))
    chosen = tuple(name.strip() for name in engines.split(',') if name.strip())
    result = bench_models(models, dense or models[0], chosen, config,
                          Console(stderr=True).print)
    print_bench(result, Console())
    if json is not None:
        write_bench(result, json)


def _given(**flags: Any) -> dict[str, Any]:
    """Return the flags that were set, so that each default is said where it belongs."""
    return {name: value for name, value in flags.items() if value is not None}
