# SPDX-License-Identifier: Apache-2.0
"""Every test, and every process that a test starts, runs the code of this tree."""

import os
from pathlib import Path
import sys

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

paths = [str(ROOT), *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
os.environ['PYTHONPATH'] = os.pathsep.join(dict.fromkeys(paths))
os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

# A busy machine is slow; that is no failure.
settings.register_profile('vpr_ros', settings(deadline=None))
settings.load_profile('vpr_ros')
