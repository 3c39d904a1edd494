# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the rooms of the house, their libraries, and what a robot does not need."""

import ast
from collections import defaultdict
from collections.abc import Iterator
import importlib.util
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]

BELOW_THE_DOORS = {'core', 'nets', 'compress', 'bags', 'datasets', 'report'}
ROOMS = {
    'core': {'core'},
    'nets': {'nets', 'core'},
    'compress': {'compress', 'nets', 'core', 'datasets'},
    'bags': {'bags', 'core'},
    'datasets': {'datasets', 'core'},
    'report': {'report', 'core'},
    'ros': {'ros', *BELOW_THE_DOORS},
    'tools': {'tools', *BELOW_THE_DOORS},
}
MESSAGES = {
    'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs', 'nav_msgs',
    'rcl_interfaces', 'sensor_msgs', 'std_msgs', 'std_srvs', 'tf2_msgs',
}
LIBRARIES = {
    'core': {'numpy', 'cv2', 'scipy', 'faiss'},
    'nets': {'numpy', 'cv2', 'scipy', 'safetensors', 'torch', 'torchvision', 'onnx', 'onnxruntime',
             'openvino', 'zstandard'},
    'compress': {'numpy', 'cv2', 'safetensors', 'yaml', 'torch', 'torch_pruning',
                 'pytorch_metric_learning', 'onnx',
                 'onnxruntime', 'openvino', 'nncf'},
    'bags': {'numpy', 'cv2', 'rosbags', 'mcap', 'lz4', 'zstandard'},
    'datasets': {'numpy', 'cv2', 'scipy'},
    'report': {'numpy', 'cv2', 'matplotlib', 'plotly'},
    'ros': {'numpy', 'cv2', 'rclpy', 'ament_index_python', 'cv_bridge', 'tf2_ros', *MESSAGES},
    'tools': {'numpy', 'cv2', 'cyclopts', 'rich', 'yaml'},
}
IN_ONE_FILE = {'faiss', 'nncf', 'onnxruntime', 'openvino', 'pytorch_metric_learning',
               'torch_pruning', 'torchvision'}
NEWER_THAN_PYTHON_3_10 = {'tomllib'}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the dotted name of every import, at any depth."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=0):
                yield from ((node.lineno, f'{module}.{alias.name}') for alias in names)
            case ast.ImportFrom():
                yield node.lineno, '(a relative import)'
            case ast.Call(func=ast.Name(id='__import__' | 'import_module')
                          | ast.Attribute(attr='import_module'),
                          args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name


def breach(room: str | None, name: str) -> str | None:
    """Return what is wrong with a file of `room` importing `name`; None: a file outside rooms."""
    top, *rest = name.split('.')
    if top == 'vpr_ros':
        target = rest[0] if rest else None
        if target in ROOMS and target not in ROOMS.get(room or '', set()):
            return f'{room or "the top"} may not import {target}'
        return None
    if top in NEWER_THAN_PYTHON_3_10:
        return f'{top} is not in Python 3.10'
    if top in sys.stdlib_module_names or top in LIBRARIES.get(room or '', set()):
        return None
    return f'{room or "the top"} may not import {top}'


def breaches(package: Path) -> list[str]:
    """Return every breach of the floor plan in a tree that is laid out like `vpr_ros`."""
    found = []
    users = defaultdict(set)
    for file in sorted(package.rglob('*.py')):
        where = file.relative_to(package)
        room = where.parts[0] if len(where.parts) > 1 else None
        if room is not None and room not in ROOMS:
            found.append(f'{where}: {room} is no room of the plan')
            continue
        if file.stem in ('util', 'utils', 'helpers'):
            found.append(f'{where}: a name that says nothing')
        tree = ast.parse(file.read_text(encoding='utf-8'), feature_version=(3, 10))
        for line, name in imported(tree):
            if wrong := breach(room, name):
                found.append(f'{where}:{line}: {wrong}')
            users[room, name.split('.')[0]].add(str(where))
    found += [f'{", ".join(sorted(files))}: {name} belongs in one file of a room'
              for (_, name), files in sorted(users.items(), key=str)
              if name in IN_ONE_FILE and len(files) > 1]
    return found


def loaded_by(code: str, *names: str) -> set[str]:
    """Return which of the modules `names` are loaded in a fresh Python after `code`."""
    code = f'import sys\n{code}\nprint("loaded:", *sorted({set(names)!r} & set(sys.modules)))'
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split()[1:])


def test_every_import_is_in_the_plan():
    assert breaches(ROOT / 'vpr_ros') == []


@pytest.mark.parametrize(('file', 'code', 'said'), [
    ('core/a.py', 'from vpr_ros.nets import x', 'core may not import nets'),
    ('core/a.py', 'def f():\n    from vpr_ros import bags', 'core may not import bags'),
    ('bags/a.py', 'import vpr_ros.datasets.world', 'bags may not import datasets'),
    ('ros/a.py', 'import vpr_ros.tools.cli', 'ros may not import tools'),
    ('tools/a.py', 'if True:\n    import vpr_ros.ros', 'tools may not import ros'),
    ('tools/a.py', 'class A:\n    import rclpy', 'tools may not import rclpy'),
    ('tools/a.py', 'import importlib\nimportlib.import_module("torch")',
     'tools may not import torch'),
    ('core/a.py', '__import__("torch")', 'core may not import torch'),
    ('report/a.py', 'from rosbags.highlevel import AnyReader', 'report may not import rosbags'),
    ('core/a.py', 'from sensor_msgs.msg import Image', 'core may not import sensor_msgs'),
    ('core/a.py', 'from . import types', 'may not import (a relative import)'),
    ('core/a.py', 'import tomllib', 'not in Python 3.10'),
    ('errors.py', 'import vpr_ros.core', 'the top may not import core'),
    ('errors.py', 'import numpy', 'the top may not import numpy'),
    ('attic/a.py', '', 'attic is no room of the plan'),
    ('core/utils.py', '', 'a name that says nothing'),
])
def test_a_breach_is_found(tmp_path, file, code, said):
    planted = tmp_path / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(code)
    found = breaches(tmp_path)
    assert len(found) == 1
    assert said in found[0]


def test_a_second_user_of_a_wrapped_library_is_found(tmp_path):
    (tmp_path / 'core').mkdir()
    for name in ('a', 'b'):
        (tmp_path / 'core' / f'{name}.py').write_text('def f():\n    import faiss')
    assert breaches(tmp_path) == ['core/a.py, core/b.py: faiss belongs in one file of a room']


def test_a_plain_file_is_no_breach(tmp_path):
    (tmp_path / 'nets').mkdir()
    (tmp_path / 'nets' / 'a.py').write_text('import json\nimport torch\n'
                                            'from vpr_ros.core.card import ModelCard\n'
                                            'from vpr_ros.errors import ModelError\n')
    assert breaches(tmp_path) == []


def test_every_file_names_its_license():
    files = [ROOT / 'setup.py', *(file for folder in ('vpr_ros', 'test', 'bench', 'launch', 'docs')
                                  for file in (ROOT / folder).rglob('*.py'))]
    spdx = '# SPDX-License-Identifier: Apache-2.0'
    assert [str(file.relative_to(ROOT)) for file in files
            if file.read_text(encoding='utf-8').partition('\n')[0] != spdx] == []


def modules(room: str) -> list[str]:
    names = sorted(file.stem for file in (ROOT / 'vpr_ros' / room).glob('*.py'))
    return [f'vpr_ros.{room}.{name}' for name in names if name != '__init__']


def test_the_package_alone_loads_nothing():
    assert loaded_by('import vpr_ros, vpr_ros.errors',
                     'numpy', 'cv2', 'torch', 'rclpy', 'rosbags') == set()


def test_the_core_needs_neither_ros_nor_torch_nor_bags():
    code = f'import {", ".join(modules("core"))}'
    assert loaded_by(code, 'rclpy', 'sensor_msgs', 'torch', 'torchvision', 'rosbags', 'mcap',
                     'matplotlib') == set()


def test_a_shipped_model_describes_without_torch():
    code = ('import numpy as np\n'
            'from vpr_ros.nets.model_folder import load_describer\n'
            'image = np.zeros((240, 320, 3), np.uint8)\n'
            'describer = load_describer(None, threads=1)\n'
            'assert describer.describe([image]).shape == (1, describer.card.dim)')
    assert loaded_by(code, 'torch', 'torchvision', 'onnx', 'nncf', 'rclpy', 'rosbags') == set()


def test_the_node_needs_neither_torch_nor_bags():
    pytest.importorskip('rclpy', reason='the node needs ROS')
    assert loaded_by('import vpr_ros.ros.relocalizer_node', 'rclpy', 'torch', 'torchvision',
                     'rosbags', 'mcap', 'cyclopts', 'matplotlib') == {'rclpy'}


def test_the_commands_start_without_ros_and_without_torch():
    assert loaded_by('import vpr_ros.tools.cli', 'rclpy', 'sensor_msgs', 'torch', 'torchvision',
                     'onnxruntime', 'matplotlib') == set()


@pytest.mark.parametrize('room', sorted(ROOMS))
def test_importing_prints_nothing(room):
    needs = {'ros': 'rclpy', 'compress': 'torch', 'nets': 'torch'}.get(room)
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f'{room} needs {needs}')
    code = f'import vpr_ros.{room}' + ''.join(f', {name}' for name in modules(room))
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, '', '')
