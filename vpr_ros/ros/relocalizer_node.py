# SPDX-License-Identifier: Apache-2.0
"""The relocalizer as a ROS 2 node: images in, poses in the map out, or reasons why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
import signal
import traceback
from typing import Any

from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter

from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import FrameError, VprError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.ros import parameters
from vpr_ros.ros.camera_input import CameraInput
from vpr_ros.ros.decoders import frame_decoder
from vpr_ros.ros.lens_input import LensInput
from vpr_ros.ros.map_url import map_folder
from vpr_ros.ros.mounts import mounts_from_tf
from vpr_ros.ros.node_config import AS_IN_THE_MAP, NodeConfig
from vpr_ros.ros.pipeline import Pipeline, Setup
from vpr_ros.ros.qos import odometry_qos
from vpr_ros.ros.reporter import Reporter
from vpr_ros.ros.services import Services
from vpr_ros.ros.worker import Worker

_SUCCESS = TransitionCallbackReturn.SUCCESS


Transition = Callable[['RelocalizerNode', LifecycleState], TransitionCallbackReturn]


def _said(transition: Transition) -> Transition:
    """Have a transition say why it failed: FAILURE for a VprError; rclpy would swallow others."""
    @wraps(transition)
    def loud(node: RelocalizerNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except VprError as error:
            node.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            if node.context.ok():  # when not, a signal came in between
                node.get_logger().error(traceback.format_exc())
            raise

    return loud


class RelocalizerNode(LifecycleNode):
    """Reads map and model when configured, listens while active.

    The executor's thread receives and answers; a worker's thread decodes, localizes and
    publishes. See `Worker` for why, and `Pipeline` for one frame's way.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of LifecycleNode; VprError for a parameter of the wrong type."""
        super().__init__('relocalizer', **options)
        self._pipeline: Pipeline | None = None           # while configured
        self._worker: Worker | None = None               # while active
        self._cameras: dict[str, CameraInput] = {}       # while active
        self._lenses: list[LensInput] = []               # while active, where lenses matter
        parameters.declare(self, NodeConfig)
        parameters.declare(self, LocalizerConfig)
        self.add_on_set_parameters_callback(self._on_parameters)

    @property
    def starts_itself(self) -> bool:
        """Whether no lifecycle manager is going to configure and activate the node."""
        return bool(self.get_parameter('autostart').value)

    def start(self) -> bool:
        """Configure and activate; False when that failed, which has been logged then."""
        return self.trigger_configure() == _SUCCESS and self.trigger_activate() == _SUCCESS

    @_said
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read parameters, map and model; FAILURE and one line in the log for a bad one."""
        setup, place_map = self._read_setup()
        self._pipeline = Pipeline(self, setup, place_map)
        self.get_logger().info(f'network: {setup.describer.choice}')
        self._answers = Services(self, self._pipeline, self._cameras, lambda: self._worker,
                                 self._failed)
        self._reporter = Reporter(self, self._pipeline, self._cameras)
        return super().on_configure(state)

    @_said
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, and know nothing yet of where the robot is."""
        assert self._pipeline is not None
        self._pipeline.reset()
        self._worker = Worker(self._pipeline.judge, self._failed)
        self._worker.start()
        self._odometry = self.create_subscription(
            Odometry, 'odom', self._on_odometry, odometry_qos())
        self._pipeline.handoff.open()
        cameras = self._pipeline.setup.cameras
        names = [camera.name for camera in cameras]
        for name in names:
            self._cameras[name] = CameraInput(self, name, _image_topic(name, names),
                                              self._pipeline.config, self._worker.put)
        self._listen_to_lenses()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen no more."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop map and model, and take the topics down."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End, from whatever state."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to where the node can be configured again."""
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Stop the worker and take everything down."""
        self._stop()
        super().destroy_node()

    def _read_setup(self) -> tuple[Setup, PlaceMap]:
        """Return all that the node works with, as the parameters have it."""
        config = parameters.read(self, NodeConfig)
        thresholds = parameters.read(self, LocalizerConfig)
        decode = frame_decoder(config.image_decoder)
        if not config.map:
            raise VprError('no map was given; set the parameter map to a folder that '
                           'vpr map build wrote')
        place_map = PlaceMap.load(map_folder(config.map))
        names = config.cameras
        if names == AS_IN_THE_MAP:
            names = tuple(camera.name for camera in place_map.cameras)
            if len(names) > 1:
                replace(config, cameras=names)  # raises for names that no topic can have
        cameras = parameters.declare_mounts(self, names)
        parameters.refuse_unknown(self)
        if config.mounts_from_tf:
            topics = {name: self.resolve_topic_name(_image_topic(name, names)) for name in names}
            cameras = mounts_from_tf(self, cameras, topics, config.base_frame,
                                     config.mounts_timeout_s)
        describer = load_describer(Path(config.model).expanduser() if config.model else None,
                                   config.threads, config.engine)
        return Setup(config, thresholds, cameras, decode, describer), place_map

    def _stop(self) -> None:
        if self._worker is None:
            return
        for camera in self._cameras.values():
            camera.close()
        self._forget_lenses()
        self.destroy_subscription(self._odometry)
        self._worker.stop()
        self._worker = None
        self._cameras.clear()
        assert self._pipeline is not None
        self._pipeline.handoff.close()

    def _release(self) -> None:
        self._stop()
        if self._pipeline is None:
            return
        self._reporter.destroy()
        self._answers.destroy()
        self._pipeline.destroy()
        self._pipeline = None

    def _on_odometry(self, message: Odometry) -> None:
        assert self._pipeline is not None
        try:
            self._pipeline.odometry.add(message)
        except FrameError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=10.0)

    def _listen_to_lenses(self) -> None:
        """Listen to CameraInfo while active and where lenses matter, else not."""
        assert self._pipeline is not None
        if not self._pipeline.needs_lenses:
            self._forget_lenses()
        elif not self._lenses:
            self._lenses = [LensInput(self, name, camera.topics, self._take_lens)
                            for name, camera in self._cameras.items()]

    def _forget_lenses(self) -> None:
        for lens in self._lenses:
            lens.close()
        self._lenses.clear()

    def _take_lens(self, camera: str, lens: Intrinsics) -> None:
        """Hand a lens to the localizer, between two images."""
        pipeline, worker = self._pipeline, self._worker
        if pipeline is not None and worker is not None:
            worker.submit(lambda: pipeline.use_lens(camera, lens))

    def _failed(self, error: Exception) -> None:
        """Report what the worker could not do; it goes on with the next image."""
        if self.context.ok():  # when not, the program is ending and cannot publish any more
            self._reporter.failures += 1
            self.get_logger().error(
                ''.join(traceback.format_exception(type(error), error, error.__traceback__)),
                throttle_duration_sec=10.0)

    def _on_parameters(self, changes: Sequence[Parameter[Any]]) -> SetParametersResult:
        """Take what can be changed now; refuse all of it, with the reason, otherwise."""
        try:
            self._reconfigure(parameters.values_of(changes))
        except VprError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _reconfigure(self, changes: dict[str, Any]) -> None:
        config = parameters.changed(self, NodeConfig, changes)
        thresholds = parameters.changed(self, LocalizerConfig, changes)
        if self._pipeline is None:
            return  # read when the node is configured
        parameters.refuse_frozen(self._pipeline.config, config, changes)
        pipeline = self._pipeline
        if self._worker is None:
            pipeline.reconfigure(config, thresholds)
        else:  # between two images: no frame is judged half by these and half by those
            self._worker.submit(lambda: pipeline.reconfigure(config, thresholds)).result()
        for camera in self._cameras.values():
            camera.limit(config.max_rate_hz)
        self._listen_to_lenses()


def _image_topic(camera: str, cameras: Sequence[str]) -> str:
    """Return the topic that a camera listens to, before remapping."""
    return 'image' if len(cameras) == 1 else f'{camera}/image'


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 2 when it could not start."""
    # rclpy ends spinning on a signal, and calls the handler that was there before. Python's own
    # would raise KeyboardInterrupt wherever the program stands, also while it cleans up (launch
    # and the terminal both send SIGINT), so there is one that does nothing.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        rclpy.init(args=None if args is None else list(args))
    except RuntimeError as error:  # RCLError: a parameter file that is none, a broken remapping
        get_logger('relocalizer').fatal(str(error))
        return 2
    node, executor = None, SingleThreadedExecutor()
    try:
        node = RelocalizerNode()
        executor.add_node(node)
        if node.starts_itself and not node.start():
            return 2 if rclpy.ok() else 0  # 0: a signal came while it was starting
        executor.spin()
    except VprError as error:
        get_logger('relocalizer').fatal(str(error))
        return 2
    except Exception:  # ExternalShutdownException, or what a signal has cut short
        if rclpy.ok():
            raise
    finally:
        executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
