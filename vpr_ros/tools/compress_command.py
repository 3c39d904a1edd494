# SPDX-License-Identifier: Apache-2.0
"""The command `vpr compress`: a model in as small a file as recall allows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter
from rich.console import Console

from vpr_ros.tools.flags import Engine, given, Several, Switch
from vpr_ros.tools.model_commands import refuse_without_torch

_LEARN = Group('What it learns from', sort_key=1)
_JUDGE = Group('What judges it', sort_key=2)
_GOAL = Group('How far', sort_key=3)
_HOW = Group('How', sort_key=4)
_EACH = Parameter(negative=(), consume_multiple=False)


def add_compress_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(compress)


def compress(model: Path | None = None, /, *, out: Path,
             images: Annotated[Several | None, Parameter(group=_LEARN)] = None,
             image: Annotated[str, Parameter(group=_LEARN)] = '',
             places: Annotated[list[str] | None, _EACH, Parameter(group=_LEARN)] = None,
             world: Annotated[int, Parameter(group=_LEARN)] = 0,
             teacher: Annotated[Path | None, Parameter(group=_LEARN)] = None,
             truth: Annotated[str, Parameter(group=_JUDGE)] = '',
             query: Annotated[Path | None, Parameter(group=_JUDGE)] = None,
             validate: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
             test: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
             beside: Annotated[list[Path] | None, _EACH, Parameter(group=_JUDGE)] = None,
             prune: Annotated[float | None, Parameter(group=_GOAL)] = None,
             bits: Annotated[int | None, Parameter(group=_GOAL)] = None,
             layer: Annotated[list[str] | None, _EACH, Parameter(group=_GOAL)] = None,
             budget: Annotated[float | None, Parameter(group=_GOAL)] = None,
             scan: Annotated[Switch, Parameter(group=_GOAL)] = False,
             max_recall_drop: Annotated[float | None, Parameter(group=_GOAL)] = None,
             int8: Annotated[Switch, Parameter(group=_GOAL)] = False,
             engine: Annotated[Engine, Parameter(group=_JUDGE)] = 'auto',
             config: Annotated[Path | None, Parameter(group=_HOW)] = None,
             steps: Annotated[int | None, Parameter(group=_HOW)] = None,
             schedule: Annotated[Literal['linear', 'cubic', 'one-shot'] | None,
                                 Parameter(group=_HOW)] = None,
             coarse: Annotated[float | None, Parameter(group=_HOW)] = None,
             epochs: Annotated[int | None, Parameter(group=_HOW)] = None,
             last_epochs: Annotated[int | None, Parameter(group=_HOW)] = None,
             seed: Annotated[int | None, Parameter(group=_HOW)] = None,
             threads: Annotated[int | None, Parameter(group=_HOW)] = None,
             device: Annotated[Literal['auto', 'cpu', 'cuda'], Parameter(group=_HOW)] = 'auto',
             force: Switch = False) -> None:
    """Make a model's file small: small weights become zero, the others share few values.

    It does not make the network faster, nor smaller once it is loaded: engines compute with all
    weights, zeros too. For time, delete channels (vpr prune) before, or let it end in int8.

    The child learns to describe as its parent does, for which any pictures will do: a bag of the
    robot. Each step is a model folder of its own and a .vprz file, which is taken wherever a model
    folder is. A run that was stopped goes on when the same command is given again. A
    reconstruction of Saha, Varma, Jawahar (ACPR 2017) in the manner of Deep Compression.

    Parameters
    ----------
    model
        Folder or .vprz of the dense model, which is not changed; left out: the network that ships
        with this package.
    out
        Folder for step_01, step_01.vprz, ..., model.vprz, the tables and report.html.
    images
        Bags or folders of pictures like what the robot sees; no labels are needed.
    image
        Image topic of the bags; left out: their only one.
    places
        Instead of --images, a set whose places are labelled, as layout=folder: gsv-cities=DIR,
        bag=run1/ (with --truth), or the word world; may be given several times.
    world
        So many rendered pictures beside the others, or worlds of --places world.
    teacher
        Model to learn from; left out: the dense model itself.
    truth
        Poses of the first bag, a topic or tf: then its later half judges and is not learned from.
    query
        A second bag with poses, which is looked for in the first, and judges.
    validate
        Set that judges, by which steps are chosen, as layout=folder or layout:split=folder, and
        what else its layout must know: by-poses=DIR,tolerance-m=2; may be given several times.
        Left out: by --truth, or a fifth of the pictures, labelled by itself.
    test
        Set to report on only, alike; nothing is chosen by it.
    beside
        Another model to set beside in the table of sizes, times and recalls: a pruned one, an
        int8 one, the parent of a pruned one; may be given several times.
    prune
        Share of the weights that becomes zero, the same of each layer (default 0.5); depthwise
        ones keep theirs, and the others make up for them.
    bits
        The weights of a layer share 2 to the power of so many values, 2 to 8 (default 8); 32: they
        stay floats.
    layer
        Otherwise for layers by their names, as PATTERN=prune,bits, such as `aggregator.*=0.7,5` or
        `backbone.features.0.*=0,32`; may be given several times.
    budget
        Instead of --prune and --bits: find how far each layer can go while no more points of
        recall@1 are lost before learning; learning then wins back.
    scan
        Measure what each layer bears for the report, also without --budget; takes minutes.
    max_recall_drop
        Take the smallest step whose recall@1 fell by no more points than this.
    int8
        Let it end in an int8 model as well, for time; out/int8.
    engine
        What is timed; auto: the fastest here, measured once.
    config
        YAML file with all knobs, such as config/compress.yaml; flags here win.
    steps
        Steps in which weights become zero, before they share values (default 3).
    schedule
        How they are spread over the steps (default cubic: much at first, little at the end).
    coarse
        Share of a layer's spread to which weights may be rounded where that saves bits of the file
        (default 0.04); 0: plain k-means.
    epochs
        Epochs of learning after each step (default 2).
    last_epochs
        More of them after the last one (default 4).
    seed
        Of everything that is drawn at random (default 0).
    threads
        Processors that learn (default 1); another one makes the next pictures.
    device
        auto: a GPU where there is one.
    force
        Start again, whatever is in --out.
    """
    refuse_without_torch()
    from vpr_ros.compress.compress_config import CompressRun
    from vpr_ros.compress.compress_scan import Budget
    from vpr_ros.nets.model_folder import default_model_folder
    from vpr_ros.tools.compress_model import compress_model, refuse_both, Wanted
    from vpr_ros.tools.compression_table import DENSE_KERNELS
    from vpr_ros.tools.lesson_source import LessonSource
    from vpr_ros.tools.print_compressed import compressed_lines, models_side_by_side, steps_table
    from vpr_ros.tools.prune_model import Judges
    from vpr_ros.tools.report_command import write_compression_report
    refuse_both(budget, prune, bits)
    knobs = CompressRun.read(config, **given(
        prune=prune, bits=bits, layers=layer, steps=steps, schedule=schedule, coarse=coarse,
        epochs=epochs, last_epochs=last_epochs, seed=seed, threads=threads))
    source = LessonSource(tuple(images or ()), image, truth, query, tuple(places or ()), world,
                          knobs.learn.seed)
    console = Console()
    console.print(DENSE_KERNELS, style='dim', highlight=False)
    done = compress_model(
        model or default_model_folder(), out, source,
        Judges(tuple(validate or ()), tuple(test or ())), knobs,
        Wanted(None if budget is None else Budget(budget), scan, int8, tuple(beside or ()),
               max_recall_drop, engine),
        teacher=teacher, device=device, force=force,
        say=lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    if not done.by_first:
        return
    for table in (steps_table(done.points), models_side_by_side(done.rows)):
        console.print(table)
    for line in (*compressed_lines(done, out), f'page: {write_compression_report(out)}'):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
