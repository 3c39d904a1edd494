# SPDX-License-Identifier: Apache-2.0
"""The node by the clock of a bag: it runs, stands still, and jumps back when played again."""

from itertools import pairwise

import pytest

pytest.importorskip('rosgraph_msgs', reason='rosgraph_msgs is not installed')

from rosgraph_msgs.msg import Clock

STEP_NS = 500_000_000


@pytest.fixture(scope='module')
def replayed(start, depot):
    """A node by simulated time, and a robot that says what time it is with every picture."""
    process, robot = start({'map': depot, 'use_sim_time': 'true', 'max_rate_hz': '4.0'})
    robot.ready()
    robot.publisher('/clock', Clock)
    robot.until(robot.publisher('/clock', Clock).get_subscription_count, 'a subscriber of /clock')
    return process, robot


def tell(robot, stamp_ns):
    clock = Clock()
    clock.clock.sec, clock.clock.nanosec = divmod(stamp_ns, 1_000_000_000)
    robot.publisher('/clock', Clock).publish(clock)


def play(stage, robot, metres, at_ns):
    """Play a drive from a moment on, clock and all; return the status of each picture."""
    robot.now_ns = at_ns
    robot.heard['status'].clear()   # the same stamps come again
    statuses = []
    for metre in metres:
        robot.say(metre, robot.tick())
        tell(robot, robot.now_ns + 20_000_000)
        statuses.append(stage.values(robot.show(stage.raw(stage.view(metre), robot.now_ns))))
    return statuses


def test_a_bag_that_is_played_twice_is_believed_twice(stage, replayed):
    process, robot = replayed
    begin_ns = stage.START_NS + 100 * STEP_NS
    first = play(stage, robot, range(5, 25), begin_ns)
    assert first[-1]['reason'] == 'accepted'
    assert [status['restarted'] for status in first] == ['false'] * 20
    again = play(stage, robot, range(5, 25), begin_ns)
    # The first picture of the second time knows nothing of the first time.
    assert [status['restarted'] for status in again] == ['true'] + ['false'] * 19
    assert again[0]['reason'] != 'accepted'
    assert again[-1]['reason'] == 'accepted'
    verdicts = [[status['reason'] for status in statuses] for statuses in (first, again)]
    assert verdicts[0][5:] == verdicts[1][5:]
    assert 'time jumped back' in process.log
    assert 'Traceback' not in process.log


def test_age_is_by_the_clock_of_the_bag(stage, replayed):
    _, robot = replayed
    statuses = play(stage, robot, range(5, 10), robot.now_ns)
    # The wall clock is years away; /clock is ahead by 20 ms, or behind where it comes later.
    assert all(abs(float(status['age_ms'])) < 1000.0 for status in statuses)


def test_diagnostics_go_on_while_the_clock_stands_still(replayed):
    _, robot = replayed
    before = robot.diagnosis('localization')
    after = robot.diagnosis('localization')
    assert before.message == after.message == 'running'


def test_the_rate_limit_goes_by_stamps(stage, replayed):
    """Of pictures of 10 Hz, played as fast as it goes, at most 4 Hz are judged."""
    _, robot = replayed
    robot.now_ns += 60 * 1_000_000_000
    begin_ns = robot.now_ns
    robot.heard['status'].clear()
    for _ in range(20):
        robot.tick(0.1)
        tell(robot, robot.now_ns)
        robot.publisher('image').publish(stage.raw(stage.view(12), robot.now_ns))
        for _ in range(3):
            robot.spin_once()
    robot.until(lambda: len(robot.heard['status']) >= 4, 'four statuses')
    stamps_ns = sorted(int(stage.values(s)['stamp'].replace('.', ''))
                       for s in robot.heard['status'])
    assert stamps_ns[0] > begin_ns
    gaps_s = [(b - a) * 1e-9 for a, b in pairwise(stamps_ns)]
    assert all(gap >= 0.19 for gap in gaps_s)
    assert len(stamps_ns) <= 9
