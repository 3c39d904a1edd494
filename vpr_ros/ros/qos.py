# SPDX-License-Identifier: Apache-2.0
"""Quality of service of the inputs, and why nothing comes when nothing comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

LARGE_IMAGES = ("FastDDS's defaults lose large images on the side of the camera: start its driver "
                'with FASTDDS_DEFAULT_PROFILES_FILE (up to Jazzy: FASTRTPS_DEFAULT_PROFILES_FILE) '
                "set to this package's config/fastdds.xml, or use the compressed topic")

_RELIABILITY = {'best_effort': ReliabilityPolicy.BEST_EFFORT,
                'reliable': ReliabilityPolicy.RELIABLE,
                'system_default': ReliabilityPolicy.SYSTEM_DEFAULT}


def image_qos(reliability: str) -> QoSProfile:
    """Return the profile for images: the newest one only, since an older one is of no use."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                      reliability=_RELIABILITY[reliability],
                      durability=DurabilityPolicy.VOLATILE)


def odometry_qos() -> QoSProfile:
    """Return the profile for odometry: it suits any publisher, and bridges a busy moment."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100,
                      reliability=ReliabilityPolicy.BEST_EFFORT,
                      durability=DurabilityPolicy.VOLATILE)


def subscribe(node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None],
              profile: QoSProfile, mismatch: Callable[[], None],
              lost: Callable[[int], None]) -> Any:
    """Return a subscription that tells of publishers that offer too little, and of losses.

    Where the middleware knows no such events the subscription does without.
    """
    events = SubscriptionEventCallbacks(
        incompatible_qos=lambda _event: mismatch(),
        message_lost=lambda event: lost(event.total_count_change))
    try:
        return node.create_subscription(kind, topic, callback, profile, event_callbacks=events)
    except UnsupportedEventTypeError:
        return node.create_subscription(kind, topic, callback, profile)


def describe(profile: QoSProfile) -> str:
    """Return a profile in a few words."""
    return f'{_word(profile.reliability)}, {_word(profile.durability)}'


def why_silent(node: Node, topics: Mapping[str, str], requested: QoSProfile) -> str:
    """Return one line on why nothing arrives on `topics` (resolved name: type), and what to do."""
    offers, wrong = [], []
    for topic, kind in topics.items():
        for publisher in node.get_publishers_info_by_topic(topic):
            if publisher.topic_type != kind:
                wrong.append(f'{topic} carries {publisher.topic_type}, not {kind}')
                continue
            name = f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'
            offers.append((f'{name} offers {topic} as {describe(publisher.qos_profile)}',
                           _too_little(publisher.qos_profile, requested)))
    if bad := [text for text, too_little in offers if too_little]:
        return (f'no image: {"; ".join(bad)}, but {describe(requested)} is requested; '
                'set image_reliability to best_effort')
    if offers:
        return (f'no image, although {"; ".join(text for text, _ in offers)} and '
                f'{describe(requested)} is requested: the camera is not sending, or its images '
                f'are lost on the way ({LARGE_IMAGES})')
    if wrong:
        return f'no image: {"; ".join(wrong)}; remap image to an image topic'
    return (f'no image: nobody publishes {" or ".join(topics)}; '
            f'image topics here: {_image_topics(node)}; remap image to one of them')


def _too_little(offered: QoSProfile, requested: QoSProfile) -> bool:
    return bool(requested.reliability == ReliabilityPolicy.RELIABLE
                and offered.reliability == ReliabilityPolicy.BEST_EFFORT)


def _word(policy: Any) -> str:
    return str(policy.name).lower().replace('_', ' ')


def _image_topics(node: Node) -> str:
    kinds = {'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'}
    own = f'{node.get_fully_qualified_name()}/'
    found = [name for name, types in node.get_topic_names_and_types()
             if kinds & set(types) and not name.startswith(own)
             and node.count_publishers(name) > 0]
    return ', '.join(sorted(found)) or 'none'
