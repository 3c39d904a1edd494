# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from vpr_ros.ros.diagnostics import Delivery, Latencies, Losses, Rate

PERIOD_NS = 33_000_000


def delivery(indices):
    watched = Delivery()
    for index in indices:
        watched.add(1_000_000_000 + index * PERIOD_NS)
    return watched


def test_quantiles_are_those_of_the_latest():
    latencies = Latencies()
    assert math.isnan(latencies.quantile(0.5))
    for value in range(10_000):
        latencies.add(float(value))
    assert latencies.quantile(0.0) == 10_000 - 512
    assert latencies.quantile(0.5) == 10_000 - 257
    assert latencies.quantile(1.0) == 9_999.0


def test_all_images_of_a_camera_arrive():
    watched = delivery(range(40))
    assert watched.camera_rate_hz == pytest.approx(30.3, abs=0.1)
    assert watched.share == pytest.approx(1.0)


def test_a_third_of_the_images_arrive_in_bursts():
    watched = delivery(i for i in range(120) if i % 12 < 4)
    assert watched.camera_rate_hz == pytest.approx(30.3, abs=0.1)
    assert watched.share == pytest.approx(1 / 3, abs=0.05)


def test_nothing_is_said_of_a_few_images():
    assert delivery(range(5)).share is None
    assert Delivery().camera_rate_hz is None


def test_a_camera_that_pauses_has_lost_nothing():
    watched = delivery([*range(40), *range(200, 240)])
    assert watched.share == pytest.approx(1.0)


def test_time_that_jumps_back_begins_anew():
    watched = delivery(range(40))
    watched.add(5)
    assert watched.share is None


def test_losses_are_those_of_late():
    losses = Losses()
    assert losses.look(0, 0) == 0.0
    assert losses.look(10, 30) == pytest.approx(0.75)
    for step in range(1, 10):
        share = losses.look(10 + 10 * step, 30)
    assert share == 0.0


def test_a_rate_is_counted_between_two_looks():
    rate = Rate()
    assert math.isnan(rate.look(5, 100.0))
    assert rate.look(25, 102.0) == 10.0
    assert rate.look(25, 103.0) == 0.0
