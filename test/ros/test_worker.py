# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import wait
import threading

import pytest

from vpr_ros.ros.worker import Arrival, finished, Worker

LIMIT_S = 5.0


class Judge:
    """Judges when it is let, and remembers what."""

    def __init__(self):
        self.seen = []
        self.busy = threading.Event()
        self.gate = threading.Event()

    def __call__(self, arrival):
        self.busy.set()
        assert self.gate.wait(LIMIT_S)
        self.seen.append((arrival.camera, arrival.stamp_ns))
        if arrival.message == 'bad':
            raise ValueError('bad image')


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def worker(judge, failures):
    worker = Worker(judge, failures.append)
    worker.start()
    yield worker
    judge.gate.set()
    worker.stop()


def arrival(stamp_ns, camera='front', message=''):
    return Arrival(camera, stamp_ns, message, 0.0)


def occupy(worker, judge, camera='front'):
    worker.put(arrival(0, camera))
    assert judge.busy.wait(LIMIT_S)


def test_the_newest_image_replaces_those_that_wait(worker, judge):
    occupy(worker, judge)
    assert [worker.put(arrival(stamp)) for stamp in (1, 2, 3)] == [False, True, True]
    judge.gate.set()
    worker.submit(lambda: None).result(LIMIT_S)
    worker.stop()
    assert judge.seen in ([('front', 0)], [('front', 0), ('front', 3)])
    assert ('front', 1) not in judge.seen


def test_no_camera_starves_another(worker, judge):
    occupy(worker, judge)
    worker.put(arrival(1, 'front'))
    worker.put(arrival(1, 'rear'))
    worker.put(arrival(2, 'front'))  # newer, but in the turn of the one before
    judge.gate.set()
    done = threading.Event()
    while not done.is_set() and len(judge.seen) < 3:
        done.wait(0.001)
    assert judge.seen == [('front', 0), ('front', 2), ('rear', 1)]


def test_a_job_comes_before_the_images_that_wait(worker, judge):
    occupy(worker, judge)
    worker.put(arrival(1))
    future = worker.submit(lambda: list(judge.seen))
    judge.gate.set()
    assert future.result(LIMIT_S) == [('front', 0)]


def test_a_bad_image_is_reported_and_the_next_one_judged(worker, judge, failures):
    judge.gate.set()
    worker.put(arrival(1, message='bad'))
    worker.submit(lambda: None).result(LIMIT_S)
    worker.put(arrival(2, 'rear'))
    while ('rear', 2) not in judge.seen:
        worker.submit(lambda: None).result(LIMIT_S)
    assert [str(error) for error in failures] in ([], ['bad image'])
    worker.stop()
    assert judge.seen[-1] == ('rear', 2)


def test_what_a_job_raises_is_raised_where_it_is_waited_for(worker):
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 / 0).result(LIMIT_S)


def test_stop_does_the_jobs_that_wait_and_leaves_the_images(worker, judge):
    occupy(worker, judge)
    future = worker.submit(lambda: 'done')
    worker.put(arrival(1))
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    judge.gate.set()
    stopper.join(LIMIT_S)
    assert not stopper.is_alive()
    assert future.result(0) == 'done'
    assert judge.seen == [('front', 0)]


def test_a_job_after_the_end_is_refused(worker):
    worker.stop()
    with pytest.raises(RuntimeError, match='the worker has stopped'):
        worker.submit(lambda: None).result(LIMIT_S)


def test_waiting_for_a_job_gives_the_executor_its_turns(worker, judge):
    occupy(worker, judge)
    future = worker.submit(lambda: 42)
    coroutine = finished(future)
    for _ in range(3):
        coroutine.send(None)  # what an executor does: a turn each
    judge.gate.set()
    wait([future], LIMIT_S)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == 42
