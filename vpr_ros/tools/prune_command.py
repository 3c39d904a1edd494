# SPDX-License-Identifier: Apache-2.0
"""The command `vpr prune`: a model made smaller and faster, with the recall to show for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter
from rich.console import Console

from vpr_ros.errors import VprError
from vpr_ros.tools.flags import Engine, given, Several, Switch
from vpr_ros.tools.model_commands import refuse_without_torch

_LEARN = Group('What it learns from', sort_key=1)
_JUDGE = Group('What judges it', sort_key=2)
_GOAL = Group('How far', sort_key=3)
_HOW = Group('How', sort_key=4)
_EACH = Parameter(negative=(), consume_multiple=False)


def add_prune_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(prune)


def prune(model: Path | None = None, /, *, out: Path,
          images: Annotated[Several | None, Parameter(group=_LEARN)] = None,
          image: Annotated[str, Parameter(group=_LEARN)] = '',
          places: Annotated[list[str] | None, _EACH, Parameter(group=_LEARN)] = None,
          world: Annotated[int, Parameter(group=_LEARN)] = 0,
          teacher: Annotated[Path | None, Parameter(group=_LEARN)] = None,
          truth: Annotated[str, Parameter(group=_JUDGE)] = '',
          query: Annotated[Path | None, Parameter(group=_JUDGE)] = None,
          validate: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
          test: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
          sparsity: Annotated[float | None, Parameter(group=_GOAL)] = None,
          gamma: Annotated[float | None, Parameter(group=_GOAL)] = None,
          target_latency_ms: Annotated[float | None, Parameter(group=_GOAL)] = None,
          target_memory_mb: Annotated[float | None, Parameter(group=_GOAL)] = None,
          max_recall_drop: Annotated[float | None, Parameter(group=_GOAL)] = None,
          map_places: Annotated[int | None, Parameter(group=_GOAL)] = None,
          map_precision: Annotated[Literal['float32', 'float16', 'int8'] | None,
                                   Parameter(group=_GOAL)] = None,
          engine: Annotated[Engine, Parameter(group=_GOAL)] = 'auto',
          config: Annotated[Path | None, Parameter(group=_HOW)] = None,
          steps: Annotated[int | None, Parameter(group=_HOW)] = None,
          schedule: Annotated[Literal['linear', 'cubic', 'one-shot'] | None,
                              Parameter(group=_HOW)] = None,
          criterion: Annotated[Literal['l1', 'l2', 'taylor', 'bn-scale', 'lamp', 'random'] | None,
                               Parameter(group=_HOW)] = None,
          allocation: Annotated[Literal['uniform', 'global', 'latency'] | None,
                                Parameter(group=_HOW)] = None,
          epochs: Annotated[int | None, Parameter(group=_HOW)] = None,
          last_epochs: Annotated[int | None, Parameter(group=_HOW)] = None,
          seed: Annotated[int | None, Parameter(group=_HOW)] = None,
          threads: Annotated[int | None, Parameter(group=_HOW)] = None,
          device: Annotated[Literal['auto', 'cpu', 'cuda'], Parameter(group=_HOW)] = 'auto',
          controls: Annotated[bool, Parameter(group=_JUDGE)] = True,
          int8_control: Annotated[Switch, Parameter(group=_JUDGE)] = False,
          force: Switch = False) -> None:
    """Make a model smaller and faster: delete channels step by step, and learn after each.

    The child learns to describe as its parent does, for which any pictures will do: a bag of the
    robot. Each step is a model folder of its own, measured beside the parent: what it recalls,
    how fast it runs, how much memory it and a map take. A run that was stopped goes on when the
    same command is given again. On several GPUs: torchrun --nproc_per_node N -m
    vpr_ros.tools.cli prune ...

    Parameters
    ----------
    model
        Folder of the dense model, which is not changed; left out: the network that ships with this
        package.
    out
        Folder for step_01, step_02, ..., points.json, points.csv and report.html.
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
        Another model to learn from than MODEL itself, such as the one that MODEL once learned
        from; its descriptor is as long, and its maps are what the child may query.
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
    sparsity
        Share of the channels to delete (default 0.5).
    gamma
        The descriptor loses gamma x sparsity of its numbers: 0 keeps it, so that the child can
        query maps of its parent; 1 makes maps smaller as well, and above 1 even more (default 0).
    target_latency_ms
        Instead of --sparsity: delete until an image and a query take so long, measured.
    target_memory_mb
        Instead of --sparsity: delete until model and map take so much.
    max_recall_drop
        Stop when recall@1 has fallen by more points than this, and take the step before.
    map_places
        Places of the map that memory and search are counted for (default 10000).
    map_precision
        How the map is kept (default float32).
    engine
        What runs the network; auto: the fastest here, measured once.
    config
        YAML file with all knobs, such as config/prune.yaml; flags here win.
    steps
        Steps in which channels go (default 5).
    schedule
        How they are spread over the steps (default cubic: much at first, little at the end).
    criterion
        What says which channels matter least (default l2); random is the control.
    allocation
        The same share of every layer (default), of the whole network, or where time is saved.
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
    controls
        Measure as well what the dense network recalls with a smaller map, without training: fewer
        numbers (PCA, truncation), fewer bits (float16, int8, product quantization).
    int8_control
        And what the dense network recalls in int8; takes minutes.
    force
        Start again, whatever is in --out.
    """
    refuse_without_torch()
    from vpr_ros.compress.prune_config import RunConfig
    from vpr_ros.compress.prune_trial import Target
    from vpr_ros.core.precision import Precision
    from vpr_ros.nets.model_folder import default_model_folder
    from vpr_ros.tools.lesson_source import LessonSource
    from vpr_ros.tools.print_pruned import pruned_lines, pruned_table
    from vpr_ros.tools.prune_model import Judges, prune_model
    from vpr_ros.tools.report_command import write_pruning_report
    knobs = RunConfig.read(config, **given(
        sparsity=sparsity, gamma=gamma, steps=steps, schedule=schedule, criterion=criterion,
        allocation=allocation, epochs=epochs, last_epochs=last_epochs, seed=seed, threads=threads))
    target = Target(**given(
        latency_ms=target_latency_ms,
        memory_bytes=None if target_memory_mb is None else target_memory_mb * 1e6,
        map_places=map_places, engine=engine,
        map_precision=None if map_precision is None else Precision(map_precision)))
    if sparsity is not None and target.asks:
        raise VprError('--sparsity says how much goes, and a target finds it out; give one of the '
                       'two')
    source = LessonSource(tuple(images or ()), image, truth, query, tuple(places or ()), world,
                          knobs.learn.seed)
    console = Console()
    judges = Judges(tuple(validate or ()), tuple(test or ()))
    done = prune_model(model or default_model_folder(), out, source, judges, knobs, target,
                       teacher=teacher, max_drop_points=max_recall_drop, device=device,
                       force=force, controls=controls, int8_control=int8_control,
                       say=lambda text: console.print(text, highlight=False, soft_wrap=True))
    if not done.by_first:
        return
    console.print(pruned_table(done.points))
    for line in (*pruned_lines(done, out), f'page: {write_pruning_report([out])}'):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
