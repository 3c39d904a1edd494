# SPDX-License-Identifier: Apache-2.0
"""The command `vpr evaluate-set`, which is also `vpr evaluate ROOT --layout NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from vpr_ros.tools.flags import Engine, given, Switch

COMMAND, FLAG = 'evaluate-set', '--layout'
_NO = Parameter(negative=())
_EACH = Parameter(negative=(), consume_multiple=False)


def add_evaluate_sets_command(app: App) -> None:
    """Give `app` the commands of this file."""
    app.command(evaluate_set, name=COMMAND)
    app.command(layouts)


def routed(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, where `evaluate` with --layout is `evaluate-set`."""
    asks = any(word == FLAG or word.startswith(FLAG + '=') for word in words)
    if words and words[0] == 'evaluate' and asks:
        return [COMMAND, *words[1:]]
    return list(words)


def evaluate_set(roots: Annotated[list[Path], _NO], *,
                 layout: Annotated[list[str], _EACH], out: Path,
                 model: Annotated[list[Path] | None, _EACH] = None,
                 map_setting: Annotated[list[str] | None, _EACH] = None,
                 split: str | None = None, map_name: str | None = None,
                 query_name: str | None = None,
                 city: Annotated[list[str] | None, _EACH] = None,
                 tolerance_m: float | None = None, tolerance_deg: float | None = None,
                 tolerance_frames: int | None = None, truth: str | None = None,
                 engine: Engine = 'auto', threads: int = 0, cache: Path | None = None,
                 no_cache: Switch = False, force: Switch = False) -> None:
    """Measure how often models find the right place in an image set with ground truth.

    One half of the set is the map, the other asks it: recall@N, the numbers of papers. Images
    that were described once are not described again, so a run that was stopped goes on.

    Parameters
    ----------
    roots
        Folder of the set; several folders of one layout give several sets.
    layout
        How the set lies on disk, such as pitts30k; `vpr layouts` lists and draws them. Given
        several times: one for each folder, or all of one folder.
    out
        Folder for results.json, results.csv and settings.json.
    model
        Model folder, may be given several times; left out: the network that ships with this
        package.
    map_setting
        How the map is kept: fp32, fp16 or int8, or with fewer dimensions int8:pca:256 or
        fp32:truncate:256; may be given several times (default fp32).
    split
        Part of the set; what there is, depends on the layout.
    map_name
        Folder (season, traverse) to map, where the layout leaves it open.
    query_name
        Folder to find in it.
    city
        City to use, may be given several times (gsv-cities, msls).
    tolerance_m
        A map image within this distance is right; left out: what the set's papers use.
    tolerance_deg
        And within this heading, such as 40 for msls; left out: any.
    tolerance_frames
        A map image is right up to this many frames away (nordland, by-order).
    truth
        Which truth of the set: soft or hard (vpr-tutorial), a file (by-lists).
    engine
        What runs the network; auto: the fastest here, measured once.
    threads
        Threads of the network; 0 leaves it to the engine.
    cache
        Folder where descriptions are kept (default ~/.cache/vpr_ros/set_descriptions).
    no_cache
        Keep none.
    force
        Replace an existing result.
    """
    from vpr_ros.core.folder import refuse_existing
    from vpr_ros.core.map_setting import MapSetting
    from vpr_ros.datasets.layout import LayoutOptions
    from vpr_ros.datasets.layouts import layout_named
    from vpr_ros.errors import VprError
    from vpr_ros.nets.model_folder import load_describer
    from vpr_ros.tools.evaluate_sets import evaluate_sets, print_sets, write_sets
    from vpr_ros.tools.set_descriptions import default_cache
    refuse_existing(out, force, VprError)
    options = LayoutOptions(**given(
        split=split, map_name=map_name, query_name=query_name,
        cities=tuple(city) if city else None, tolerance_m=tolerance_m,
        tolerance_deg=tolerance_deg, tolerance_frames=tolerance_frames, truth=truth))
    settings = [MapSetting.parse(text) for text in map_setting or ['fp32']]
    if 1 not in (len(roots), len(layout)) and len(roots) != len(layout):
        raise VprError(f'{len(roots)} folders and {len(layout)} layouts: give one --layout for '
                       'all of them, or one for each')
    count = max(len(roots), len(layout))
    asked = zip((roots * count)[:count], (layout * count)[:count], strict=True)
    pairs = [layout_named(name).open_pair(root, options) for root, name in asked]
    models: list[Path | None] = [*model] if model else [None]
    describers = [load_describer(path, threads, engine) for path in models]
    console, progress = Console(), Console(stderr=True)
    results = evaluate_sets(
        pairs, describers, settings, cache=None if no_cache else cache or default_cache(),
        say=lambda text: progress.print(text, style='dim', highlight=False, soft_wrap=True))
    write_sets(results, out, force, {
        'roots': [str(root) for root in roots], 'layouts': layout,
        **{name: getattr(options, name) for name in options.given},
        'models': [{'name': each.card.name, 'digest': each.card.digest, 'engine': each.choice}
                   for each in describers], 'map_settings': [str(each) for each in settings]})
    print_sets(results, console)
    console.print(f'written: {out}', highlight=False, soft_wrap=True)


def layouts(name: str = '', /) -> None:
    """List the layouts of image sets that can be read, or draw one.

    Parameters
    ----------
    name
        Layout to draw; left out: list all.
    """
    from vpr_ros.datasets.layouts import LAYOUTS
    from vpr_ros.tools.print_layouts import drawn, listed
    console = Console()
    if name:
        console.print(drawn(name), highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(listed(LAYOUTS))
        console.print('vpr layouts NAME draws the folder', style='dim')
