# SPDX-License-Identifier: Apache-2.0
"""The transform `map -> odom`, as a localization node publishes it; opt-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Hypothesis
from vpr_ros.errors import VprError
from vpr_ros.ros.messages import header

Broadcast = Callable[[TransformStamped], None]


@dataclass(frozen=True, eq=False)
class _Held:
    map_from_odom: se3.Array
    map_frame: str
    odom_frame: str
    since_s: float   # monotonic


class MapToOdom:
    """Holds the last transform and sends it again and again, dated ahead as AMCL's is.

    The worker's thread updates, the executor's sends: what is held is replaced as a whole.
    """

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._held: _Held | None = None

    def clear(self) -> None:
        """Send nothing until the next accepted pose."""
        self._held = None

    def update(self, fix: Hypothesis, odom_from_base: se3.Array | None, odom_frame: str,
               now_s: float) -> str | None:
        """Take an accepted pose and the odometry of its moment; return what is wrong, or None.

        `map_from_odom = map_from_base * inverse(odom_from_base)`, in three dimensions.
        """
        if odom_from_base is None:
            return ('publish_tf needs odometry of the moment of the image, and there is none; '
                    'remap odom to a nav_msgs/Odometry that reaches to it')
        if odom_frame in ('', fix.frame_id):
            return (f'publish_tf needs odometry in a frame of its own; odom is in '
                    f'{odom_frame!r}, and the map in {fix.frame_id!r}')
        self._held = _Held(se3.compose(fix.pose, se3.inverse(odom_from_base)), fix.frame_id,
                           odom_frame, now_s)
        return None

    def send(self, now_ns: int, now_s: float, ahead_s: float, hold_s: float) -> bool:
        """Broadcast what is held, dated `ahead_s` ahead of `now_ns`; say whether it was sent.

        What is older than `hold_s` is dropped; 0 holds it for ever.
        """
        held = self._held
        if held is None or now_ns <= 0:  # simulated time has not begun
            return False
        if hold_s > 0.0 and now_s - held.since_s > hold_s:
            self._held = None if self._held is held else self._held
            return False
        message = TransformStamped()
        message.header = header(now_ns + int(ahead_s * 1e9), held.map_frame)
        message.child_frame_id = held.odom_frame
        shift, turn = message.transform.translation, message.transform.rotation
        shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w = map(float, held.map_from_odom)
        self._broadcast(message)
        return True


def tf_broadcast(node: LifecycleNode) -> tuple[Broadcast, Any]:
    """Return a function that publishes to `/tf`, and its publisher, as tf2_ros's would be.

    Raises VprError where tf2_msgs cannot be imported.
    """
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        raise VprError(f'publish_tf is true, but tf2_msgs cannot be imported ({error}); install '
                       'ros-<distro>-tf2-msgs, or set publish_tf to false') from error
    publisher = node.create_publisher(TFMessage, '/tf', QoSProfile(depth=100))
    return lambda message: publisher.publish(TFMessage(transforms=[message])), publisher
