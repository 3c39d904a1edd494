# SPDX-License-Identifier: Apache-2.0
"""How the package installs, by `pip install .` and by colcon (ament_python) alike."""

from glob import glob
from pathlib import Path
import re
import sys

from setuptools import find_packages, setup

NAME = 'vpr_ros'
SHARE = f'share/{NAME}'

COMMANDS = {
    'vpr': 'vpr_ros.tools.cli:main',
    'relocalizer': 'vpr_ros.ros.relocalizer_node:main',
}


def version():
    text = Path(NAME, '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def ros2_run_stubs():
    """Write what `ros2 run` finds in lib/vpr_ros, and return the files.

    colcon puts the commands themselves there (setup.cfg); pip puts them into bin/ and can only
    be given files, so each of these calls its namesake in bin/.
    """
    folder = Path('build', 'ros2_run')
    folder.mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        stub = folder / command
        stub.write_text('#!/bin/sh\n'
                        f'exec "$(dirname "$0")/../../bin/{command}" "$@"\n')
        stub.chmod(0o755)
    return [str(folder / command) for command in COMMANDS]


data_files = [
    ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
    (SHARE, ['package.xml']),
    (f'{SHARE}/launch', sorted(glob('launch/*.launch.py'))),
    (f'{SHARE}/config', sorted(glob('config/*.*'))),
]
if 'bdist_wheel' in sys.argv:
    data_files.append((f'lib/{NAME}', ros2_run_stubs()))

# Lower bounds are what Ubuntu 22.04 brings where apt's ROS shares the interpreter; exact versions
# for everything else are in requirements/.
core = [
    'cyclopts>=4',
    'faiss-cpu>=1.7.2',
    'lz4>=4',
    'matplotlib>=3.5',
    'mcap>=1.1',
    'numpy>=1.21',
    'onnxruntime>=1.18',
    'opencv-python-headless>=4.5.4',
    'plotly>=6',
    'PyYAML>=5.4',
    'rich>=13.6',
    'rosbags>=0.11.9',
    'safetensors>=0.4',
    'scipy>=1.8',
    'zstandard>=0.20',
]
train = [
    'torch==2.13.0',
    'torchvision==0.28.0',
    'onnx==1.23.2',
    'onnxscript==0.7.2',
    'pytorch-metric-learning==2.9.0',
    'torch-pruning==1.6.1',
]
openvino = [
    'openvino>=2026.4',
]
quantize = [
    'openvino==2026.4.1',
    'nncf==3.4.0',
]
test = [
    'hypothesis',
    'pytest',
]

setup(
    name=NAME,
    version=version(),
    description='Robot relocalization by visual place recognition',
    author='vpr_ros contributors',
    maintainer='vpr_ros maintainers',
    maintainer_email='maintainers@example.org',
    license='Apache-2.0',
    keywords=['ROS'],
    classifiers=[
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', 'nets/default_model/[!.]*', 'report/assets/*']},
    data_files=data_files,
    install_requires=core,
    extras_require={'train': train, 'openvino': openvino, 'quantize': quantize, 'test': test},
    entry_points={'console_scripts': [f'{name} = {where}' for name, where in COMMANDS.items()]},
    zip_safe=False,
)
