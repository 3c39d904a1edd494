# SPDX-License-Identifier: Apache-2.0
"""What `pip install .` puts where, and that the package's descriptions agree with one another."""

import ast
import os
from pathlib import Path
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from xml.etree import ElementTree
import zipfile

import pytest

import vpr_ros

ROOT = Path(__file__).resolve().parents[1]
EXECUTABLES = {'relocalizer', 'vpr'}


def run(*command: str | Path, **variables: str) -> str:
    """Run a command away from the tree, so that what it finds is what was installed."""
    environment = {**os.environ, **variables}
    done = subprocess.run([str(word) for word in command], cwd='/', env=environment, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel of this tree, built offline from a copy: a build leaves things behind."""
    pytest.importorskip('pip', reason='a wheel is built by pip')
    folder = tmp_path_factory.mktemp('wheel')
    tree = folder / 'tree'
    tree.mkdir()
    for name in ('vpr_ros', 'resource', 'launch', 'config'):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('package.xml', 'setup.py', 'setup.cfg', 'pyproject.toml', 'LICENSE',
                 'MANIFEST.in'):
        shutil.copy(ROOT / name, tree / name)
    run(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index',
        '--no-build-isolation', '--wheel-dir', folder, tree)
    [built] = folder.glob('*.whl')
    return built


@pytest.fixture(scope='module')
def prefix(wheel, tmp_path_factory) -> Path:
    """Where the wheel is installed, beside whatever this Python has."""
    prefix = tmp_path_factory.mktemp('prefix')
    run(sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index',
        '--ignore-installed', '--no-warn-script-location', '--prefix', prefix, wheel)
    return prefix


def site_packages(prefix: Path) -> Path:
    return Path(sysconfig.get_path('purelib', vars={'base': str(prefix)}))


def test_the_wheel_holds_every_module(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith('vpr_ros/')}
    tree = {str(file.relative_to(ROOT)) for file in (ROOT / 'vpr_ros').rglob('*.py')}
    assert {name for name in inside if name.endswith('.py')} == tree
    assert 'vpr_ros/py.typed' in inside


def test_the_wheel_ships_the_default_model(wheel):
    inside = zipfile.ZipFile(wheel)
    shipped = {Path(name).name: inside.getinfo(name).file_size for name in inside.namelist()
               if name.startswith('vpr_ros/nets/default_model/')}
    assert shipped.keys() >= {'card.json', 'manifest.json', 'model.onnx',
                              'weights.safetensors'}
    assert shipped['model.onnx'] <= 12e6


def test_the_wheel_ships_the_assets_of_the_page(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    assets = {str(file.relative_to(ROOT)) for file in (ROOT / 'vpr_ros/report/assets').iterdir()}
    assert {Path(name).suffix for name in assets} == {'.html', '.css', '.js'}
    assert assets <= inside


def test_share_is_where_ros_looks(prefix):
    assert (prefix / 'share/ament_index/resource_index/packages/vpr_ros').is_file()
    share = prefix / 'share/vpr_ros'
    for folder, pattern in (('.', 'package.xml'), ('launch', '*.launch.py'), ('config', '*.*')):
        expected = {file.name for file in (ROOT / folder).glob(pattern)}
        assert expected
        assert {file.name for file in (share / folder).iterdir() if file.is_file()} == expected


def test_ament_index_finds_the_installed_share(prefix):
    pytest.importorskip('ament_index_python', reason='needs ROS')
    code = ('from ament_index_python.packages import get_package_share_directory as share\n'
            'print(share("vpr_ros"))')
    said = run(sys.executable, '-c', code, AMENT_PREFIX_PATH=str(prefix))
    assert said.strip() == str(prefix / 'share/vpr_ros')


def test_ros2_run_finds_executables(prefix):
    stubs = list((prefix / 'lib/vpr_ros').iterdir())
    assert {stub.name for stub in stubs} == EXECUTABLES
    for stub in stubs:
        assert stub.stat().st_mode & stat.S_IXUSR
        assert os.access(prefix / 'bin' / stub.name, os.X_OK)


def test_a_stub_runs_the_installed_package(prefix):
    said = run(prefix / 'lib/vpr_ros/vpr', '--version', PYTHONPATH=str(site_packages(prefix)))
    assert said.strip().endswith(vpr_ros.__version__)


def test_entry_points_name_functions_that_exist(wheel):
    text = zipfile.ZipFile(wheel).read(
        f'vpr_ros-{vpr_ros.__version__}.dist-info/entry_points.txt').decode()
    entries = dict(re.findall(r'^(\w+) = ([\w.]+):main$', text, re.MULTILINE))
    assert entries.keys() == EXECUTABLES
    for module in entries.values():
        tree = ast.parse((ROOT / module.replace('.', '/')).with_suffix('.py').read_text())
        assert any(isinstance(node, ast.FunctionDef) and node.name == 'main'
                   for node in tree.body), f'{module} has no main()'


@pytest.fixture(scope='module')
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def imported(files: list[Path]) -> set[str]:
    """Return the top-level names of all modules that the files import, at any depth."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split('.')[0] for name in
            plain | {node.module or '' for node in nodes if isinstance(node, ast.ImportFrom)}}


def depends(manifest: ElementTree.Element) -> set[str]:
    return {element.text or '' for element in manifest.iter('exec_depend')}


def test_versions_agree(wheel, manifest):
    assert manifest.findtext('version') == vpr_ros.__version__
    assert wheel.name.startswith(f'vpr_ros-{vpr_ros.__version__}-')
    assert re.search(rf'^{re.escape(vpr_ros.__version__)} \(.+\)\n-+$',
                     (ROOT / 'CHANGELOG.rst').read_text(), re.MULTILINE)


def test_package_xml_is_an_ament_python_package(manifest):
    assert manifest.get('format') == '3'
    assert manifest.findtext('name') == 'vpr_ros'
    assert manifest.findtext('license') == 'Apache-2.0'
    assert manifest.findtext('export/build_type') == 'ament_python'


def test_package_xml_names_every_ros_package_in_use(manifest):
    files = [*(ROOT / 'vpr_ros/ros').glob('*.py'), *(ROOT / 'launch').glob('*.py')]
    ros = {name for name in imported(files)
           if name.endswith(('_msgs', '_srvs', '_interfaces'))
           or name in ('rclpy', 'launch', 'launch_ros', 'ament_index_python', 'cv_bridge')}
    assert ros
    assert ros <= depends(manifest)


EXTRAS = {'torch', 'torchvision', 'torch_pruning', 'pytorch_metric_learning', 'openvino', 'nncf',
          'onnx'}
DISTRIBUTIONS = {'cv2': 'opencv-python-headless', 'faiss': 'faiss-cpu', 'yaml': 'PyYAML'}


def test_the_core_requirements_are_what_is_imported():
    files = [file for file in (ROOT / 'vpr_ros').rglob('*.py') if file.parent.name != 'ros']
    outside = imported(files) - sys.stdlib_module_names - EXTRAS - {'vpr_ros'}
    assert {DISTRIBUTIONS.get(name, name) for name in outside} == (
        pins('core.txt').keys() - {'setuptools', 'wheel'})


def pins(file: str) -> dict[str, str]:
    """Return name -> version pinned for Python 3.11 and later."""
    text = (ROOT / 'requirements' / file).read_text()
    found = re.findall(r'^([\w-]+)(?:\[\w+\])?==([\w.]+)(.*)$', text, re.MULTILINE)
    return {name: version for name, version, marker in found if '<' not in marker}


@pytest.mark.parametrize('file', ['core.txt', 'ros.txt', 'train.txt', 'quantize.txt',
                                  'test.txt', 'constraints.txt'])
def test_requirements_are_exact(file):
    lines = (ROOT / 'requirements' / file).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(('#', '-c constraints.txt'))]
    assert wanted
    exact = re.compile(r"[\w-]+(\[\w+\])?==[\w.]+(; python_version (<|>=) '3\.11')?")
    assert [line for line in wanted if not exact.fullmatch(line)] == []


@pytest.mark.parametrize('name', ['train', 'quantize'])
def test_an_extra_is_the_pinned_one(wheel, name):
    metadata = zipfile.ZipFile(wheel).read(
        f'vpr_ros-{vpr_ros.__version__}.dist-info/METADATA').decode()
    extra = dict(re.findall(rf'^Requires-Dist: ([\w-]+)==(\S+); extra == "{name}"$', metadata,
                            re.MULTILINE))
    assert extra == pins(f'{name}.txt')
    core = set(re.findall(r'^Requires-Dist: ([\w-]+)>=[\d.]+$', metadata, re.MULTILINE))
    assert core == set(pins('core.txt')) - {'setuptools', 'wheel'}


def test_pyproject_is_settings_of_tools_only():
    tables = re.findall(r'^\[+(\w+)', (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)
    assert set(tables) == {'tool'}
