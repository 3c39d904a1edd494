# SPDX-License-Identifier: Apache-2.0
"""A corridor, a map of it, a tiny model, and a robot around the node: camera, odometry, ears."""

from dataclasses import replace
from itertools import count
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import ClassVar

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from nav_msgs.srv import LoadMap
import numpy as np
from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_srvs.srv import Trigger

from vpr_ros.core import pose as se3
from vpr_ros.core.card import ModelCard, Preprocessing, weights_digest
from vpr_ros.core.folder import seal
from vpr_ros.core.local_features import extract, FeatureConfig
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Camera, stamp_ns_of
from vpr_ros.nets.model_folder import CARD, GRAPH, MANIFEST, WEIGHTS

ROOT = Path(__file__).parents[2]
PLACES = 40
TWIN_M = 50.0
LIMIT_S = 20.0
START_NS = 1_700_000_000_000_000_000
STEP_NS = 500_000_000
domains = count(os.getpid() % 50)


def corridor(seed=0):
    """A wall of 2,600 x 120 pixels that looks different everywhere."""
    tiles = np.random.default_rng(seed).integers(0, 255, (12, 260, 3), dtype=np.uint8)
    return cv2.resize(tiles, (2600, 120), interpolation=cv2.INTER_CUBIC)


WALL = corridor()


def view(metres):
    """What a camera sees of the wall at `metres` along it, (120, 160, 3) RGB."""
    start = round(40 * metres)
    return np.ascontiguousarray(WALL[:, start:start + 160])


def stamp(message, stamp_ns):
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return message


def raw(picture, stamp_ns, encoding='rgb8'):
    height, width = picture.shape[:2]
    return stamp(Image(height=height, width=width, encoding=encoding,
                       step=picture.size // height, data=picture.tobytes()), stamp_ns)


def jpeg(picture, stamp_ns):
    data = cv2.imencode('.png', picture[..., ::-1])[1].tobytes()
    return stamp(CompressedImage(format='rgb8; png compressed bgr8', data=data), stamp_ns)


def odometry(metres, stamp_ns):
    message = stamp(Odometry(), stamp_ns)
    message.pose.pose.position.x = float(metres)
    message.pose.pose.orientation.w = 1.0
    return message


def place_map(describer, cameras=('camera',), frame_id='map', features=False, twin=range(0),
              calibration=None):
    """A map of the corridor, a place a metre, seen by the first of `cameras`.

    A second corridor, `TWIN_M` to the side, looks like the metres `twin` of the first.
    """
    pictures = [view(metre) for metre in [*range(PLACES), *twin]]
    count = len(pictures)
    zeros = np.zeros(count, np.int32)
    corners = FeatureConfig()
    return PlaceMap(
        frame_id, describer.card, tuple(Camera(name, se3.IDENTITY) for name in cameras),
        np.concatenate([describer.describe([picture]) for picture in pictures]),
        np.stack([*(se3.from_xy_yaw(metre, 2.0, 0.0) for metre in range(PLACES)),
                  *(se3.from_xy_yaw(metre, 2.0 + TWIN_M, 0.0) for metre in twin)]),
        START_NS + STEP_NS * np.arange(count), zeros, zeros, ('run1',),
        tuple(cv2.imencode('.jpg', picture[..., ::-1])[1].tobytes() for picture in pictures),
        features=PackedFeatures.pack(corners, [extract(picture, corners) for picture in pictures])
        if features else None, calibration=calibration)


class Process:
    """A relocalizer in a process of its own, and what it logs."""

    def __init__(self, domain, log, parameters=(), arguments=(), namespace=None):
        command = [sys.executable, '-m', 'vpr_ros.ros.relocalizer_node', '--ros-args']
        for name, value in dict(parameters).items():
            command += ['-p', f'{name}:={value}']
        command += [*(['-r', f'__ns:={namespace}'] if namespace else []), *arguments]
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'PYTHONPATH': str(ROOT),
                       'OMP_NUM_THREADS': '1'}
        self._log = log
        with log.open('w') as file:
            self._process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)

    @property
    def log(self):
        return self._log.read_text()

    @property
    def pid(self):
        return self._process.pid

    def wait(self, limit_s=LIMIT_S):
        return self._process.wait(limit_s)

    def send(self, number):
        self._process.send_signal(number)

    def interrupt(self, number=signal.SIGINT):
        self.send(number)
        return self.wait()

    def came_up(self):
        """Wait for the node to be active; False when it has ended instead."""
        end = time.monotonic() + LIMIT_S
        while self._process.poll() is None and 'places in frame' not in self.log:
            assert time.monotonic() < end, f'the node does not start: {self.log}'
            time.sleep(0.02)
        return self._process.poll() is None

    def said(self, text):
        """Wait for something in the log."""
        end = time.monotonic() + LIMIT_S
        while text not in self.log:
            assert time.monotonic() < end, f'{text!r} is not said: {self.log}'
            time.sleep(0.02)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Robot:
    """Publishes images and odometry, and keeps what the node says."""

    HEARD: ClassVar = {'pose': PoseWithCovarianceStamped, 'hypotheses': PoseArray,
                       'place_matches': PointCloud2, 'status': DiagnosticStatus}

    def __init__(self, domain, namespace=''):
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node('robot', context=self.context, namespace=namespace,
                         use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._publishers = {}
        self._clients = {}
        self.heard = {}
        self.now_ns = START_NS
        for topic, kind in self.HEARD.items():
            self.listen(f'relocalizer/{topic}', kind, topic)
        self.listen('/diagnostics', DiagnosticArray, 'diagnostics')
        self._odometry = self.node.create_publisher(Odometry, 'odom', 10)

    def listen(self, topic, kind, name):
        self.heard[name] = []
        return self.node.create_subscription(kind, topic, self.heard[name].append, 100)

    def publisher(self, topic, kind=Image, reliability=ReliabilityPolicy.RELIABLE):
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(
                kind, topic, QoSProfile(depth=10, reliability=reliability))
        return self._publishers[topic]

    def until(self, condition, what, limit_s=LIMIT_S):
        """Spin until `condition()` is true, and return what it returns."""
        end = time.monotonic() + limit_s
        while not (value := condition()):
            assert time.monotonic() < end, f'waited {limit_s:g} s in vain for {what}'
            self.spin_once()
        return value

    def spin_once(self):
        self._executor.spin_once(timeout_sec=0.02)

    def connect(self, *topics):
        """Wait until the node is there: it hears the topics, and we hear it."""
        for topic in topics or ('image',):
            self.publisher(topic)
            self.until(lambda topic=topic: self._publishers[topic].get_subscription_count(),
                       f'a subscriber of {topic}')
        self.until(self._odometry.get_subscription_count, 'a subscriber of odom')
        self.until(lambda: all(self.node.count_publishers(f'relocalizer/{topic}')
                               for topic in self.HEARD), 'the topics of the node')

    def ready(self, topic='image', make=raw):
        """Connect, and show an image again and again until the first status comes.

        Each end finds the other in its own time, and what is sent before that is lost.
        """
        self.connect(topic)
        probe = make(view(0), self.tick())

        def answered():
            probe.header.stamp.nanosec += 1
            self._publishers[topic].publish(probe)
            return self.heard['status']

        self.until(answered, 'the first status')
        for messages in self.heard.values():
            messages.clear()

    def say(self, metres, stamp_ns):
        self._odometry.publish(odometry(metres, stamp_ns))

    def show(self, message, topic='image'):
        """Publish an image, and return the status of it."""
        self._publishers[topic].publish(message)
        return self.status_of(message)

    def show_until_answered(self, message, topic='image'):
        """Publish an image until its status comes; the node takes it once."""
        text = stamp_text(message)

        def answered():
            self._publishers[topic].publish(message)
            return any(values(status)['stamp'] == text for status in self.heard['status'])

        self.until(answered, f'the status of {text}')

    def status_of(self, message):
        text = stamp_text(message)
        return self.until(
            lambda: next((status for status in self.heard['status']
                          if values(status)['stamp'] == text), None), f'the status of {text}')

    def tick(self, seconds=STEP_NS * 1e-9):
        """Let the robot's time pass, and return it."""
        self.now_ns += int(seconds * 1e9)
        return self.now_ns

    def drive(self, metres, make=raw, topic='image'):
        """Drive past the wall, metre for metre, and return the statuses."""
        statuses = []
        for metre in metres:
            self.say(metre, self.tick())
            statuses.append(self.show(make(view(metre), self.now_ns), topic))
        return statuses

    def newest(self, topic):
        """The last message of a topic, once it is about the robot's now."""
        return self.until(lambda: next(
            (message for message in reversed(self.heard[topic])
             if stamp_ns_of(message) == self.now_ns), None), f'~/{topic} of now')

    def call(self, kind, service, request):
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        self.until(client.service_is_ready, f'the service {service}')
        future = client.call_async(request)
        self.until(future.done, f'the answer of {service}')
        return future.result()

    def trigger(self):
        return self.call(Trigger, 'relocalizer/trigger', Trigger.Request())

    def load_map(self, url):
        return self.call(LoadMap, 'relocalizer/load_map', LoadMap.Request(map_url=str(url))).result

    def transit(self, label):
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(ChangeState, 'relocalizer/change_state', request).success

    def state(self):
        return self.call(GetState, 'relocalizer/get_state',
                         GetState.Request()).current_state.label

    def set(self, **parameters):
        """Set parameters, and return the reasons of those that were refused."""
        request = SetParameters.Request(parameters=[
            rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
            for name, value in parameters.items()])
        answer = self.call(SetParameters, 'relocalizer/set_parameters', request)
        return [result.reason for result in answer.results if not result.successful]

    def get(self, name):
        answer = self.call(GetParameters, 'relocalizer/get_parameters',
                           GetParameters.Request(names=[name]))
        return rclpy.parameter.parameter_value_to_python(answer.values[0])

    def diagnosis(self, part, accept=lambda status: True):
        """Wait for a report on `part` that `accept`s, from now on."""
        self.heard['diagnostics'].clear()
        return self.until(
            lambda: next((status for array in self.heard['diagnostics'] for status in array.status
                          if status.name == f'relocalizer: {part}' and accept(status)), None),
            f'a report on {part}')

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


def stamp_text(message):
    return f'{message.header.stamp.sec}.{message.header.stamp.nanosec:09d}'


def values(status):
    return {value.key: value.value for value in status.values}


def another(describer):
    """A describer that says it is of another model."""
    card = replace(describer.card, name='other', digest='cd' * 32)
    return SimpleNamespace(card=card, describe=describer.describe)


def write_tiny_model(folder):
    """A model whose network averages 64 patches: enough to tell one metre of wall from another."""
    import onnx
    from onnx import helper, numpy_helper
    from safetensors.numpy import save

    tilt = np.zeros((1, 192), np.float32)
    tilt[0, 0] = 1e-3  # a picture of one color has a direction, too
    graph = helper.make_graph(
        [helper.make_node('AveragePool', ['image'], ['patches'], kernel_shape=[8, 8],
                          strides=[8, 8]),
         helper.make_node('Flatten', ['patches'], ['flat']),
         helper.make_node('ReduceMean', ['flat'], ['mean'], axes=[1], keepdims=1),
         helper.make_node('Sub', ['flat', 'mean'], ['centered']),
         helper.make_node('Add', ['centered', 'tilt'], ['tilted']),
         helper.make_node('LpNormalization', ['tilted'], ['descriptor'], axis=1, p=2)],
        'tiny', [helper.make_tensor_value_info('image', onnx.TensorProto.FLOAT, ['b', 3, 64, 64])],
        [helper.make_tensor_value_info('descriptor', onnx.TensorProto.FLOAT, ['b', 192])],
        [numpy_helper.from_array(tilt, 'tilt')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    weights = save({'tilt': tilt})
    card = ModelCard('tiny', 'none', 'none', 'grid', {}, {}, 192, Preprocessing(64, 64),
                     weights_digest(weights))
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CARD).write_text(card.to_json())
    (folder / GRAPH).write_bytes(model.SerializeToString())
    (folder / MANIFEST).write_text(json.dumps(seal({}, folder)))
