# SPDX-License-Identifier: Apache-2.0
"""A run of images with its truth -> a bag as a robot would have recorded it."""

from __future__ import annotations

from heapq import merge
from pathlib import Path

from vpr_ros.bags.writer import BagWriter, Storage
from vpr_ros.datasets.run import Run

IMAGE = '/camera/image_raw'
COMPRESSED = '/camera/image_raw/compressed'
POSE = '/ground_truth'
ODOM = '/odom'
_CAMERA_FRAME = 'camera_optical_frame'


def write_run(run: Run, path: Path, storage: Storage = 'mcap', compressed: bool = True) -> Path:
    """Write the camera, the true poses, odometry and the camera's mount; return `path`.

    What the run does not have (odometry, a mount) is left out. Raises BagError when `path` exists.
    """
    with BagWriter(path, storage) as bag:
        if run.base_from_camera is not None:
            bag.tf_static(int(run.stamps_ns[0]),
                          [('base_link', _CAMERA_FRAME, run.base_from_camera)])
        frames = [(int(stamp), True, row) for row, stamp in enumerate(run.stamps_ns)]
        motion = [] if run.odometry is None else [
            (int(stamp), False, row) for row, stamp in enumerate(run.odometry.stamps_ns)]
        for stamp_ns, is_frame, row in merge(frames, motion):
            if not is_frame:
                assert run.odometry is not None
                bag.odometry(ODOM, stamp_ns, run.odometry.poses[row])
                continue
            bag.pose_stamped(POSE, stamp_ns, run.map_from_base[row], run.frame_id)
            if compressed:
                bag.compressed_image(COMPRESSED, stamp_ns, run.images[row], _CAMERA_FRAME)
            else:
                bag.image(IMAGE, stamp_ns, run.images[row], _CAMERA_FRAME)
    return path
