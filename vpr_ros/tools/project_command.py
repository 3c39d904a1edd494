# SPDX-License-Identifier: Apache-2.0
"""The command `vpr project`: a shorter descriptor, by the axes that tell most."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter
from rich.console import Console

from vpr_ros.tools.flags import given, Several, Switch
from vpr_ros.tools.model_commands import refuse_without_torch

_LEARN = Group('What shows the axes', sort_key=1)
_JUDGE = Group('What judges it', sort_key=2)
_EACH = Parameter(negative=(), consume_multiple=False)


def add_project_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(project)


def project(model: Path | None = None, /, *, out: Path, dim: int,
            whitening: float | None = None, unit_positions: Switch = False,
            images: Annotated[Several | None, Parameter(group=_LEARN)] = None,
            image: Annotated[str, Parameter(group=_LEARN)] = '',
            world: Annotated[int, Parameter(group=_LEARN)] = 0,
            views: Annotated[int | None, Parameter(group=_LEARN)] = None,
            truth: Annotated[str, Parameter(group=_JUDGE)] = '',
            query: Annotated[Path | None, Parameter(group=_JUDGE)] = None,
            validate: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
            test: Annotated[list[str] | None, _EACH, Parameter(group=_JUDGE)] = None,
            seed: int | None = None, force: Switch = False) -> None:
    """Shorten a model's descriptor: keep the strongest principal axes of its last linear layer.

    Takes a minute, and learns nothing by gradients; maps become smaller and are searched faster.
    A grid and GeM without such a layer are given one. Prune channels afterwards (vpr prune): the
    child then learns the short descriptor.

    Parameters
    ----------
    model
        Folder of the model, which is not changed; left out: the network that ships with this
        package.
    out
        Folder of the new model. Its maps are its own.
    dim
        Numbers that are left: a multiple of those that one channel makes (16 for a grid of 4x4).
    whitening
        Divide each axis by its variance to the power of half of this, 0 (default, similarities
        stay as they are) to 1: weak axes tell places apart as well, and are noisier.
    unit_positions
        Grids only: average vectors of length one, so that no position outweighs the others.
    images
        Bags or folders of pictures like what the robot sees; no labels are needed.
    image
        Image topic of the bags; left out: their only one.
    world
        So many rendered pictures beside the others.
    views
        Changed views of the pictures that show the axes (default 1024).
    truth
        Poses of the first bag, a topic or tf: then its later half judges and is not looked at.
    query
        A second bag with poses, which is looked for in the first, and judges.
    validate
        Set that judges, as layout=folder or layout:split=folder; may be given several times. Left
        out: by --truth, or a fifth of the pictures, labelled by itself.
    test
        Another set to report on, alike.
    seed
        Of the views (default 0).
    force
        Replace an existing folder.
    """
    refuse_without_torch()
    from vpr_ros.compress.project import project as shortened, Projection
    from vpr_ros.compress.prune_judge import Judge
    from vpr_ros.nets.model_folder import default_model_folder
    from vpr_ros.tools.lesson_source import judging_pairs, LessonSource
    from vpr_ros.tools.print_projected import projected_lines, projected_table
    wanted = Projection(dim, unit_positions=unit_positions,
                        **given(whitening=whitening, views=views, seed=seed))
    named = judging_pairs(validate or ())
    lessons, held = LessonSource(tuple(images or ()), image, truth, query, (), world,
                                 wanted.seed).lessons(1, bool(named))
    judge = Judge([*named, *held, *judging_pairs(test or ())], len(named) + len(held))
    done = shortened(model or default_model_folder(), lessons, judge, wanted, out, force)
    console = Console()
    console.print(projected_table(done))
    for line in projected_lines(done, out):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
