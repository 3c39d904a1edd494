# SPDX-License-Identifier: Apache-2.0
"""The `vpr` command: flags in, one pure function under each.

Heavy imports wait inside the commands, so that `--help` is there at once.
"""

from __future__ import annotations

from pathlib import Path
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, MissingArgumentError
from rich.console import Console

from vpr_ros import __version__
from vpr_ros.errors import VprError
from vpr_ros.tools.compress_command import add_compress_command
from vpr_ros.tools.engine_commands import add_engine_commands
from vpr_ros.tools.evaluate_command import add_evaluate_command
from vpr_ros.tools.evaluate_sets_command import add_evaluate_sets_command, routed
from vpr_ros.tools.flags import (
    Bags,
    ENGINE,
    EngineFlags,
    given,
    Kept,
    PoseFlags,
    POSES,
    Switch,
    TOLERANCE,
    ToleranceFlags,
)
from vpr_ros.tools.model_commands import model_app
from vpr_ros.tools.pack_commands import add_pack_commands
from vpr_ros.tools.project_command import add_project_command
from vpr_ros.tools.prune_command import add_prune_command
from vpr_ros.tools.report_command import add_report_command

app = App(name='vpr', version=__version__, help='Robot relocalization by visual place '
          'recognition: build maps from bags, evaluate and calibrate them, see what this computer '
          'can do.')
map_app = App(name='map', help='Build a map from bags, or look at one.')
app.command(map_app)
app.command(model_app)
add_pack_commands(model_app)
add_engine_commands(app)
add_project_command(app)
add_prune_command(app)
add_compress_command(app)
add_evaluate_command(app)
add_evaluate_sets_command(app)
add_report_command(app)


@map_app.command(name='build')
def map_build(bags: Bags, *, image: str, pose: str, out: Path, model: Path | None = None,
              camera: str = 'camera', spacing_m: float | None = None,
              turn_deg: float | None = None, every: int | None = None,
              poses: PoseFlags = POSES,
              features: Literal['none', 'orb', 'sift'] = 'none', camera_info: str | None = None,
              precision: Kept | None = None, network: EngineFlags = ENGINE,
              salvage: Switch = False, force: Switch = False) -> None:
    """Turn a mapping run with poses into a map.

    Parameters
    ----------
    image
        Image or CompressedImage topic.
    pose
        Odometry, PoseStamped or PoseWithCovarianceStamped topic, or tf.
    out
        Folder of the new map.
    model
        Model folder; left out: the network that ships with this package.
    camera
        Name of the camera; the robot must use the same one.
    spacing_m
        Keep a place each time the robot has moved this far (default 1.0).
    turn_deg
        Or has turned this far (default 15).
    every
        Look at each n-th image only (default 1).
    features
        Local features to keep of each place, so that `verify` can check geometry.
    camera_info
        CameraInfo topic; left out: camera_info beside the image topic, where it is there.
    precision
        In what the descriptors are kept (default float32); see docs/maps.md.
    salvage
        Read a bag that was cut short as far as it goes.
    force
        Replace an existing map.
    """
    from vpr_ros.core.local_features import FeatureKind
    from vpr_ros.core.precision import Precision
    from vpr_ros.nets.model_folder import load_describer
    from vpr_ros.tools.build_map import MapSource, write_map
    source = MapSource(**poses.given(), **given(
        image=image, pose=pose, camera=camera, spacing_m=spacing_m, turn_deg=turn_deg,
        every=every, camera_info=camera_info,
        precision=None if precision is None else Precision(precision),
        features=None if features == 'none' else FeatureKind(features)))
    console = Console()
    describer = load_describer(model, network.threads, network.engine)
    console.print(f'network: {describer.choice}', style='dim', highlight=False, soft_wrap=True)
    summary = write_map(bags, out, source, describer, salvage, force)
    for line in summary.lines():
        console.print(line)
    console.print(f'map written: {out}', highlight=False)


@map_app.command(name='convert')
def map_convert(path: Path, /, *, precision: Kept, out: Path, force: Switch = False) -> None:
    """Keep the descriptors of a map in fewer bits.

    Parameters
    ----------
    path
        Folder of the map, which stays as it is.
    precision
        In what the new map keeps them.
    out
        Folder of the new map; it is not calibrated.
    force
        Replace an existing map.
    """
    from vpr_ros.core.precision import Precision
    from vpr_ros.tools.convert_map import convert_map
    for line in convert_map(path, out, Precision(precision), force).lines():
        Console().print(line, highlight=False, soft_wrap=True)
    Console().print(f'map written: {out}', highlight=False, soft_wrap=True)


@map_app.command(name='info')
def map_info(path: Path, /, *, json: Switch = False) -> None:
    """Say what a map holds; its digests are checked on the way.

    Parameters
    ----------
    path
        Folder of the map.
    json
        Print JSON.
    """
    from vpr_ros.tools.describe_map import map_record, map_table
    record = map_record(path)
    _print_json(record) if json else Console().print(map_table(record))


@app.command
def calibrate(map: Path, /, *, query: Annotated[list[Path] | None, Parameter(
                  consume_multiple=True, negative=())] = None,
              precision: float | None = None, image: str = '', pose: str = '', odom: str = '',
              map_odometry: Switch = False, camera: str = '',
              model: Path | None = None, tolerance: ToleranceFlags = TOLERANCE,
              params: Path | None = None, out: Path | None = None, poses: PoseFlags = POSES,
              network: EngineFlags = ENGINE,
              salvage: Switch = False, force: Switch = False) -> None:
    """Measure how probable a pose is on a map, and from when on to believe one.

    What is found is stored in the map. Without --query the map is asked for its own places, which
    is optimistic.

    Parameters
    ----------
    map
        Folder of the map.
    query
        Bags of another run with poses, better of another day.
    precision
        Share of the accepted poses that shall be right (default 0.99).
    image
        Image topic of the run; left out: the one that the map was built from.
    pose
        Source of the true poses of the run; left out: as for the map.
    odom
        Odometry topic of the run; left out: none. As the robot will have it.
    map_odometry
        Without --query: let the poses of the map stand for odometry.
    camera
        Name of the camera; left out: the map's only one.
    model
        Model folder; left out: the network that ships with this package.
    params
        YAML file with the node's parameters, for which the calibration will hold.
    out
        Folder for calibration.json and reliability.png; left out: neither.
    salvage
        Read a bag that was cut short as far as it goes.
    force
        Replace an existing folder --out.
    """
    from vpr_ros.core.place_map import PlaceMap
    from vpr_ros.core.scoring import Tolerance
    from vpr_ros.nets.model_folder import load_describer
    from vpr_ros.tools.calibrate import calibrate_map, Target
    from vpr_ros.tools.params_file import read_config
    from vpr_ros.tools.print_calibration import calibration_lines, next_step
    from vpr_ros.tools.query_run import QuerySource
    if not query and (lost := [flag for flag, value in (
            ('--image', image), ('--pose', pose), ('--odom', odom), ('--camera', camera),
            ('--model', model)) if value]):
        raise VprError(f'{" and ".join(lost)}: of which run? Give its bags with --query')
    if query and map_odometry:
        raise VprError('--map-odometry is for a map by itself; with --query, give --odom')
    target = Target(**given(precision=precision, config=read_config(params),
                             tolerance=Tolerance(**tolerance.given())))
    source = QuerySource(**given(image=image, pose=pose, odom=odom, camera=camera,
                                 **poses.given()))
    console = Console()
    describer = load_describer(model, network.threads, network.engine) if query else None
    if describer is not None:
        console.print(f'network: {describer.choice}', style='dim', highlight=False, soft_wrap=True)
    calibrated = calibrate_map(map, query or [], describer, source, target, map_odometry, out,
                               salvage, force)
    for remark in calibrated.remarks:
        console.print(remark, style='yellow')
    for line in calibration_lines(calibrated):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f'protocol: {calibrated.protocol}', style='dim')
    console.print(f'stored in {map}; next:\n  '
                  f'{next_step(map, PlaceMap.load(map), camera, odom, params)}',
                  highlight=False, soft_wrap=True)


@app.command
def demo(*, out: Path = Path('demo'), seed: int = 0, model: Path | None = None,
         force: Switch = False) -> None:
    """Make a building and two runs through it, map the first, relocalize in the second.

    Parameters
    ----------
    out
        Folder for the bags, the map, the report and the picture.
    seed
        Another seed is another building.
    model
        Model folder; left out: the network that ships with this package.
    force
        Replace an existing folder.
    """
    from vpr_ros.tools.demo import run_demo
    run_demo(out, seed, model, force, Console())


@app.command
def doctor(*, model: Path | None = None, map: Path | None = None) -> None:
    """Say what can be used on this computer, and what to do about the rest.

    Parameters
    ----------
    model
        A model folder to try; left out: the network that ships with this package.
    map
        A map folder to try.
    """
    from vpr_ros.tools.doctor import examine, print_findings
    if not print_findings(examine(model, map), Console()):
        raise SystemExit(1)


def _print_json(record: Any) -> None:
    import json
    print(json.dumps(record, indent=2))


def main() -> None:
    """Run the command; what the user can mend is one line on stderr and exit code 2."""
    try:
        app(routed(sys.argv[1:]), exit_on_error=False, print_error=False)
    except (VprError, CycloptsError) as error:
        print(f'vpr: {_told(error)}', file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print('vpr: interrupted; no unfinished result was written', file=sys.stderr)
        raise SystemExit(130) from None


def _told(error: Exception) -> str:
    """Return an error in one line; a drawing after an empty line stays as it is."""
    if isinstance(error, MissingArgumentError) and '--bags' in str(error):
        # A flag that takes several paths, such as --map, takes what comes after it, too.
        return 'which recording? Give its bags before all flags: vpr evaluate run2/ --map ...'
    said, gap, drawing = str(error).partition('\n\n')
    return ' '.join(said.split()) + (gap + drawing if isinstance(error, VprError) else '')
