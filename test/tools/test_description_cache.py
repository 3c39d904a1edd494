# SPDX-License-Identifier: Apache-2.0
"""What was described once is not described again, and makes no difference to any verdict."""

import json
import os

import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.knobs import build
from vpr_ros.core.local_features import FeatureKind
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.tools import description_cache, description_key
from vpr_ros.tools.build_map import MapSource, write_map
from vpr_ros.tools.description_cache import DescriptionCache
from vpr_ros.tools.description_key import bag_identity
from vpr_ros.tools.evaluate_bags import evaluate, Looking
from vpr_ros.tools.evaluation_folder import outcome_records
from vpr_ros.tools.query_run import QuerySource


class CountingDescriber:
    """Counts what it is asked, and fails at the `dies_at`-th picture."""

    def __init__(self, describer, dies_at=None):
        self.card, self._describer = describer.card, describer
        self.asked, self.dies_at = 0, dies_at

    def describe(self, images):
        self.asked += len(images)
        if self.asked == self.dies_at:
            raise KeyboardInterrupt
        return self._describer.describe(images)


@pytest.fixture
def counting(describer):
    return CountingDescriber(describer)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(description_cache, 'FRAMES_A_PART', 10)


@pytest.fixture
def bag(drive, halves):
    """39 good pictures, a spoilt one among them."""
    return drive('query', halves(10.3, 30.3), spoil={5})


def asked(bag, road, describer, cache, config=None, thumbnails=False):
    with Recording([bag]) as recording:
        return evaluate(recording, PlaceMap.load(road), describer, config or LocalizerConfig(),
                        QuerySource(odom='/odom'), Tolerance(1.2, 45.0),
                        Looking(None if cache is None else DescriptionCache(cache), thumbnails))


def verdicts(evaluation):
    """The lines of outcomes.jsonl as text, without what was measured with a clock."""
    return [json.dumps({key: value for key, value in record.items() if not key.endswith('_ms')})
            for record in outcome_records(evaluation)]


def part(cache, number):
    return next(cache.glob(f'*/part-{number:05d}-*.npz'))


def test_a_cache_changes_no_verdict(bag, road, counting, tmp_path, small_parts):
    plain = asked(bag, road, counting, None, thumbnails=True)
    first = asked(bag, road, counting, tmp_path / 'cache', thumbnails=True)
    assert counting.asked == 2 * 39
    second = asked(bag, road, counting, tmp_path / 'cache', thumbnails=True)
    assert counting.asked == 2 * 39
    assert verdicts(plain) == verdicts(first) == verdicts(second)
    assert plain.thumbnails == first.thumbnails == second.thumbnails
    assert len(second.thumbnails) == 39
    assert all(jpeg[:2] == b'\xff\xd8' for jpeg in second.thumbnails)
    assert np.array_equal(plain.descriptors, second.descriptors)
    assert asked(bag, road, counting, tmp_path / 'cache').thumbnails == ()
    assert counting.asked == 2 * 39
    for evaluation in (plain, first, second):
        assert evaluation.report.frames_not_decoded == 1
        assert any('1 of 40 images were skipped' in remark for remark in evaluation.remarks)


def test_times_are_those_of_the_describing(bag, road, counting, tmp_path):
    first, second = (asked(bag, road, counting, tmp_path / 'cache') for _ in range(2))
    assert [f.outcome.timing.describe_ms for f in first.frames] == [
        f.outcome.timing.describe_ms for f in second.frames]
    assert [f.decode_ms for f in first.frames] == [f.decode_ms for f in second.frames]
    assert all(f.latency_ms >= f.decode_ms + f.outcome.timing.describe_ms for f in second.frames)
    assert 'as measured on' not in first.report.protocol
    assert 'as measured on' in second.report.protocol
    assert '39 images described; kept in' in first.described
    assert '39 images were described before' in second.described


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:-7]),
    lambda path: path.write_bytes(b'x' + path.read_bytes()[1:]),
    lambda path: path.unlink(),
])
def test_a_damaged_part_is_made_again(bag, road, counting, tmp_path, small_parts, damage):
    first = asked(bag, road, counting, tmp_path / 'cache')
    counting.asked = 0
    damage(part(tmp_path / 'cache', 2))
    again = asked(bag, road, counting, tmp_path / 'cache')
    assert counting.asked == 39 - 19   # two parts of ten pictures, one of them spoilt, are good
    assert verdicts(first) == verdicts(again)
    assert '19 of them before' in again.described
    counting.asked = 0
    asked(bag, road, counting, tmp_path / 'cache')
    assert counting.asked == 0


def test_a_record_that_lies_is_not_believed(bag, road, counting, tmp_path, small_parts):
    asked(bag, road, counting, tmp_path / 'cache')
    whole = next((tmp_path / 'cache').glob('*/whole.json'))
    whole.write_text(json.dumps({**json.loads(whole.read_text()), 'parts': 3}))
    counting.asked = 0
    assert asked(bag, road, counting, tmp_path / 'cache').report.frames == 39
    assert counting.asked == 0   # the parts themselves are good
    assert json.loads(whole.read_text())['parts'] == 4


def test_an_interrupted_run_goes_on(bag, road, describer, tmp_path, small_parts):
    dying = CountingDescriber(describer, dies_at=26)
    with pytest.raises(KeyboardInterrupt):
        asked(bag, road, dying, tmp_path / 'cache')
    assert not list((tmp_path / 'cache').glob('*/whole.json'))
    counting = CountingDescriber(describer)
    resumed = asked(bag, road, counting, tmp_path / 'cache')
    assert counting.asked == 39 - 19
    assert verdicts(resumed) == verdicts(asked(bag, road, describer, None))
    assert resumed.report.frames_not_decoded == 1
    assert 'as measured on' in resumed.report.protocol


def test_another_recording_is_described_for_itself(drive, halves, road, counting, tmp_path):
    one, other = drive('query', halves(10, 20)), drive('other', halves(20, 30))
    for bag in (one, other, one):
        asked(bag, road, counting, tmp_path / 'cache')
    assert counting.asked == 40
    one.rename(tmp_path / 'moved')   # what lies elsewhere is the same recording
    asked(tmp_path / 'moved', road, counting, tmp_path / 'cache')
    assert counting.asked == 40


def test_large_bags_are_told_apart_by_size_time_and_ends(drive, halves, monkeypatch):
    bag = drive('query', halves(10, 20))
    whole = bag_identity(bag)
    monkeypatch.setattr(description_key, '_HASHED_WHOLE_BYTES', 10)
    before = bag_identity(bag)
    assert before != whole
    assert bag_identity(bag) == before
    mcap = next(bag.glob('*.mcap'))
    status = mcap.stat()
    os.utime(mcap, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert bag_identity(bag) != before


def test_views_that_are_verified_are_seen_again(bag, drive, halves, describer, tmp_path):
    config = build(LocalizerConfig, {'verify': 'ambiguous'})
    write_map([drive('orb', halves(0, 60))], tmp_path / 'orb.map',
              MapSource('/image', '/pose', features=FeatureKind.ORB), describer, salvage=False,
              force=False)
    counting = CountingDescriber(describer)
    for _ in range(2):
        evaluation = asked(bag, tmp_path / 'orb.map', counting, tmp_path / 'cache', config)
        assert 'cache of descriptions is not used' in evaluation.described
    assert counting.asked == 2 * 39


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(bag, road, counting, tmp_path):
    (tmp_path / 'cache').write_text('no folder')
    evaluation = asked(bag, road, counting, tmp_path / 'cache')
    assert evaluation.report.frames == 39
    assert 'are not kept' in evaluation.described


def test_what_was_not_used_for_longest_goes_first(drive, halves, road, describer, tmp_path):
    cache = tmp_path / 'cache'
    for number in range(3):
        bag = drive(f'q{number}', halves(10 + number, 20 + number))
        with Recording([bag]) as recording:
            evaluate(recording, PlaceMap.load(road), describer, LocalizerConfig(), QuerySource(),
                     Tolerance(1.2, 45.0), Looking(DescriptionCache(cache)))
        for entry in cache.iterdir():   # the clock of a fast disk may stand still meanwhile
            for file in entry.iterdir():
                os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
    newest = {entry.name for entry in cache.iterdir()}
    size = max(sum(f.stat().st_size for f in entry.iterdir()) for entry in cache.iterdir())
    bag = drive('last', halves(30, 40))
    with Recording([bag]) as recording:
        evaluate(recording, PlaceMap.load(road), describer, LocalizerConfig(), QuerySource(),
                 Tolerance(1.2, 45.0),
                 Looking(DescriptionCache(cache, largest_bytes=round(2.5 * size))))
    left = {entry.name for entry in cache.iterdir()}
    assert len(left) == 2
    assert len(left & newest) == 1
