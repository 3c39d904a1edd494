# SPDX-License-Identifier: Apache-2.0
"""What the node does when asked: `~/trigger` and `~/load_map`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
import time

from nav_msgs.srv import LoadMap
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import VprError
from vpr_ros.ros.camera_input import CameraInput
from vpr_ros.ros.map_url import map_folder
from vpr_ros.ros.messages import verdict
from vpr_ros.ros.pipeline import Pipeline
from vpr_ros.ros.worker import finished, Worker

_ANSWER = LoadMap.Response
_INACTIVE = 'the node is not active; activate it first'


class Services:
    """Answers while the node is configured; the work is the worker's, between two images.

    `worker` tells the worker of now, None while the node is not active; `failed` takes what
    nobody foresaw.
    """

    def __init__(self, node: LifecycleNode, pipeline: Pipeline, cameras: Mapping[str, CameraInput],
                 worker: Callable[[], Worker | None], failed: Callable[[Exception], None]) -> None:
        self._node = node
        self._pipeline = pipeline
        self._cameras = cameras
        self._worker = worker
        self._failed = failed
        # A group admits nobody while one of its callbacks waits, as these do for the worker: so
        # they have one to themselves, and images keep coming.
        waiting = MutuallyExclusiveCallbackGroup()
        self._services = (
            node.create_service(Trigger, '~/trigger', self._trigger, callback_group=waiting),
            node.create_service(LoadMap, '~/load_map', self._load_map, callback_group=waiting))

    def destroy(self) -> None:
        """Answer no more."""
        for service in self._services:
            self._node.destroy_service(service)

    async def _trigger(self, request: Trigger.Request,
                       response: Trigger.Response) -> Trigger.Response:
        worker = self._worker()
        if worker is None:
            response.message = _INACTIVE
            return response
        try:
            response.success, response.message = await finished(worker.submit(self._judge_newest))
        except Exception as error:  # an exception from here would end the executor
            self._failed(error)
            response.message = f'the newest image could not be judged: {error}'
        return response

    def _judge_newest(self) -> tuple[bool, str]:
        arrivals = [camera.newest for camera in self._cameras.values() if camera.newest]
        if not arrivals:
            return False, 'no image has come yet'
        newest = max(arrivals, key=lambda arrival: arrival.received_s)
        age_s = time.monotonic() - newest.received_s
        limit_s = self._pipeline.config.trigger_max_age_s
        if age_s > limit_s:
            return False, (f'the newest image came {age_s:.1f} s ago, which is more than '
                           f'trigger_max_age_s ({limit_s:g} s)')
        handoff = self._pipeline.handoff
        sends = handoff.sends
        outcome = self._pipeline.judge(newest)
        if outcome is None:
            return False, f'the newest image of camera {newest.camera} cannot be decoded'
        if (fix := outcome.accepted) is not None:
            handoff.triggered(fix, sends)
        return outcome.accepted is not None, verdict(outcome)

    async def _load_map(self, request: LoadMap.Request,
                        response: LoadMap.Response) -> LoadMap.Response:
        worker, url = self._worker(), str(request.map_url)
        if worker is None:
            self._node.get_logger().error(f'load_map: {_INACTIVE}')
            response.result = _ANSWER.RESULT_UNDEFINED_FAILURE
            return response
        response.result = await finished(worker.submit(lambda: self._swap_map(url)))
        if response.result == _ANSWER.RESULT_SUCCESS:
            # First here: a change of the parameter that is none to the pipeline is not refused.
            self._pipeline.config = replace(self._pipeline.config, map=url)
            self._node.set_parameters([Parameter('map', value=url)])
        return response

    def _swap_map(self, url: str) -> int:
        """Return a result of LoadMap; when it is no success, the old map stays."""
        result = _ANSWER.RESULT_MAP_DOES_NOT_EXIST
        try:
            folder = map_folder(url)
            if folder.exists():
                result = _ANSWER.RESULT_INVALID_MAP_DATA
            place_map = PlaceMap.load(folder)
            result = _ANSWER.RESULT_INVALID_MAP_METADATA
            self._pipeline.use(place_map)
            result = _ANSWER.RESULT_SUCCESS
        except VprError as error:
            self._node.get_logger().error(f'load_map: {error}; the old map stays')
        except Exception as error:
            self._failed(error)
            result = _ANSWER.RESULT_UNDEFINED_FAILURE
        return int(result)
