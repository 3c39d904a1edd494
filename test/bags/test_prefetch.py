# SPDX-License-Identifier: Apache-2.0
from itertools import count
import threading

from hypothesis import given, strategies as st
import pytest

from vpr_ros.bags.prefetch import prefetch


def workers():
    return [thread for thread in threading.enumerate() if thread.name == 'prefetch']


@given(st.lists(st.integers()), st.integers(1, 5))
def test_nothing_is_lost_or_moved(items, depth):
    assert list(prefetch(iter(items), depth)) == items
    assert not workers()


def test_it_works_ahead_but_not_further_than_asked():
    made = []
    full = threading.Event()

    def produce():
        for number in range(20):
            made.append(number)
            if number == 4:
                full.set()
            yield number

    items = prefetch(produce(), depth=3)
    assert next(items) == 0
    assert full.wait(10)  # while nobody asks: one taken, three waiting, one in the maker's hand
    for taken, number in enumerate(items, 2):
        assert number == taken - 1
        assert len(made) <= taken + 3 + 1


def test_an_exception_comes_at_its_place():
    def produce():
        yield 1
        yield 2
        raise KeyError('third')

    items = prefetch(produce())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError, match='third'):
        next(items)
    assert not workers()


@pytest.mark.parametrize('depth', [1, 4])
def test_a_consumer_that_stops_ends_the_thread_and_the_source(depth):
    ended = threading.Event()

    def produce():
        try:
            yield from count()
        finally:
            ended.set()

    items = prefetch(produce(), depth)
    assert next(items) == 0
    items.close()
    assert ended.is_set()
    assert not workers()


def test_an_iterator_that_nobody_starts_starts_nothing():
    prefetch(count())
    assert not workers()


def test_a_depth_of_nothing_is_refused():
    with pytest.raises(ValueError, match='0 items ahead'):
        prefetch([], 0)
