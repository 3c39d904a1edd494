# SPDX-License-Identifier: Apache-2.0
"""What `auto` chooses, and how it remembers."""

from dataclasses import replace
import json
import shutil

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.errors import ModelError
from vpr_ros.nets import engine_choice, engine_verdicts, engines
from vpr_ros.nets.checked import checked_descriptors
from vpr_ros.nets.engine_choice import choose_describer, probe_pictures
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.nets.engine_verdicts import NAME, recall_verdict, remember_verdict, Verdict
from vpr_ros.nets.engines import Candidate
from vpr_ros.nets.model_folder import load_describer, MANIFEST, read_card

ORT, OV, BF16 = (Candidate('onnxruntime', 'fp32'), Candidate('openvino', 'fp32'),
                 Candidate('openvino', 'bf16'))


class Stub(EngineDescriber):
    """Gives rows that depend on the picture, turned by `error` in a plane."""

    def __init__(self, card, candidate, error=0.0):
        super().__init__(card, candidate.engine, candidate.precision, 1)
        self.error = error

    def _run(self, batch):
        rows = np.zeros((len(batch), self.card.dim), np.float32)
        angle = batch.mean(axis=(1, 2, 3)) + self.error
        rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
        return rows


@pytest.fixture
def copied(model_folder, tmp_path, monkeypatch):
    """A folder of its own, and a cache that is not the user's."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return shutil.copytree(model_folder, tmp_path / 'model',
                           ignore=shutil.ignore_patterns(NAME))


@pytest.fixture
def stage(monkeypatch):
    """Put stubs and times in the engines' place; returns what was opened."""
    opened = []

    def set_up(times_ms, errors=None, broken=()):
        errors = errors or {}

        def opening(folder, card, threads, candidate):
            opened.append(candidate)
            if candidate in broken:
                raise ModelError(f'{candidate} is broken')
            return Stub(card, candidate, errors.get(candidate, 0.0))

        monkeypatch.setattr(engine_choice, 'open_describer', opening)
        monkeypatch.setattr(engine_choice, 'candidates', lambda *asked: tuple(times_ms))
        monkeypatch.setattr(engine_choice, '_spent_s', lambda describers, batch, threads: [
            times_ms[Candidate(each.engine, each.precision)] / 1e3 for each in describers])
        return opened
    return set_up


def choose(folder, threads=1, engine='auto', precision='auto'):
    return choose_describer(folder, read_card(folder), threads, engine, precision)


@pytest.mark.parametrize(('times_ms', 'best'), [
    ({ORT: 10.0, OV: 8.0, BF16: 5.0}, BF16), ({ORT: 10.0, OV: 8.0, BF16: 9.0}, OV),
    ({ORT: 10.0, OV: 9.9, BF16: 9.8}, ORT),  # no gain worth another engine
    ({ORT: 3.0, OV: 9.0}, ORT)])
def test_the_fastest_is_chosen_and_the_line_says_why(copied, stage, times_ms, best):
    stage(times_ms)
    describer = choose(copied)
    assert (describer.engine, describer.precision) == (best.engine, best.precision)
    assert describer.choice.startswith(f'{best}: ')
    for candidate, ms in times_ms.items():
        assert f'{candidate} {ms:.1f} ms' in describer.choice
    assert f'measured now, remembered in {copied / NAME}' in describer.choice
    assert '\n' not in describer.choice


@pytest.mark.parametrize(('degrees', 'best'), [(2.0, BF16), (3.0, ORT), (np.nan, ORT)])
def test_a_float_precision_that_gives_other_descriptors_is_left_out(copied, stage, degrees, best):
    stage({ORT: 10.0, BF16: 5.0}, {BF16: np.radians(degrees)})
    describer = choose(copied)
    assert (describer.engine, describer.precision) == (best.engine, best.precision)
    if best == ORT:
        assert 'openvino bf16 ' in describer.choice  # and why not
        assert ('left out, cosine 0.998' if degrees == 3.0 else 'does not run') in describer.choice


def test_what_is_measured_once_is_believed(copied, stage):
    opened = stage({ORT: 10.0, OV: 5.0})
    choose(copied)
    assert set(opened) == {ORT, OV}
    opened.clear()
    describer = choose(copied)
    assert opened == [OV]
    assert '(measured before)' in describer.choice


def test_other_circumstances_are_measured_anew(copied, stage, monkeypatch):
    opened = stage({ORT: 10.0, OV: 5.0})
    choose(copied)

    def anew(*asked):
        opened.clear()
        choose(copied, *asked)
        return len(opened) > 1

    assert not anew()
    assert anew(2)                            # threads
    assert anew(1, 'auto', 'fp32')            # the question
    monkeypatch.setattr(engine_verdicts, 'engine_versions', lambda: {'onnxruntime': '9.9'})
    assert anew()
    monkeypatch.setattr(engine_verdicts, '_processor', lambda: 'another')
    assert anew()
    record = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(record, indent=7))  # another model
    assert anew()
    assert not anew()
    assert len(json.loads((copied / NAME).read_text())) == 6


def test_what_was_chosen_and_runs_no_more_is_measured_anew(copied, stage):
    stage({ORT: 10.0, OV: 5.0})
    choose(copied)
    stage({ORT: 10.0, OV: 5.0}, broken=(OV,))
    describer = choose(copied)
    assert describer.engine == 'onnxruntime'
    assert 'openvino fp32 does not run' in describer.choice


def test_when_nothing_runs_the_plainest_says_why(copied, stage):
    stage({ORT: 10.0, OV: 5.0}, broken=(ORT, OV))
    with pytest.raises(ModelError, match='onnxruntime fp32 is broken'):
        choose(copied)
    assert not (copied / NAME).exists()


def test_one_candidate_is_not_measured(copied, stage):
    stage({ORT: 10.0})
    assert choose(copied).choice == 'onnxruntime fp32, all there is'
    assert choose(copied, 1, 'onnxruntime').choice == 'onnxruntime fp32, as asked'
    assert not (copied / NAME).exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(
    st.binary(max_size=40), st.sampled_from([
        b'[]', b'null', b'{"KEY": 3}', b'{"KEY": {}}', b'{"KEY": {"chosen": "openvino fp32"}}',
        b'{"KEY": {"chosen": "openvino", "times_ms": {}, "remarks": []}}',
        b'{"KEY": {"chosen": "openvino fp32", "times_ms": {}, "remarks": []}}',
        b'{"KEY": {"chosen": "rm -rf", "times_ms": {"rm -rf": 1}, "remarks": []}}',
        b'{"KEY": {"chosen": "openvino fp32", "times_ms": {"openvino fp32": "x"}, '
        b'"remarks": []}}'])))
def test_a_damaged_memory_is_no_memory(model_folder, tmp_path, monkeypatch, content):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'nowhere'))
    folder = tmp_path / 'remembering'
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(content.replace(b'KEY', b'k'))
    card = read_card(model_folder)
    assert recall_verdict(folder, card, 'k') is None
    verdict = Verdict(OV, {OV: 1.5, ORT: 2.5}, ('a remark',))
    remember_verdict(folder, card, 'k', verdict)
    assert recall_verdict(folder, card, 'k') == verdict


def test_a_folder_that_cannot_be_written_is_remembered_in_the_cache(copied, stage, tmp_path):
    opened = stage({ORT: 10.0, OV: 5.0})
    (copied / NAME).mkdir()
    file = tmp_path / 'cache' / 'vpr_ros' / 'engines' / f'{read_card(copied).digest}.json'
    assert choose(copied).choice.endswith(f'(measured now, remembered in {file})')
    opened.clear()
    choose(copied)
    assert opened == [OV]
    file.unlink()
    file.mkdir()
    assert 'remembered nowhere' in choose(copied).choice
    assert [path.name for path in copied.iterdir() if path.name.startswith('.')] == [NAME]


def test_the_memory_of_a_shared_folder_stays_small(copied):
    card, verdict = read_card(copied), Verdict(OV, {OV: 1.0})
    for number in range(40):
        remember_verdict(copied, card, str(number), verdict)
    kept = json.loads((copied / NAME).read_text())
    assert list(kept) == [str(number) for number in range(8, 40)]


def test_real_engines_are_measured_and_the_folder_stays_whole(copied):
    describer = load_describer(copied, 1)
    here = engines.candidates(copied, describer.card, 'auto', 'auto')
    if len(here) == 1:
        pytest.skip('there is one engine only')
    for candidate in here:
        assert str(candidate) in describer.choice
    again = load_describer(copied, 1)
    assert (again.engine, again.precision) == (describer.engine, describer.precision)
    assert again.choice.endswith('(measured before)')


def test_probe_pictures_are_always_the_same_and_differ_among_themselves(model_folder):
    card = read_card(model_folder)
    first, second = probe_pictures(card), probe_pictures(card)
    np.testing.assert_array_equal(first, second)
    assert all(picture.dtype == np.uint8 and 30 < picture.std() < 70 for picture in first)
    assert not (first[0] == first[1]).all()


@pytest.mark.parametrize(('precision', 'length', 'well'), [
    ('fp32', 1.0005, True), ('fp32', 1.005, False), ('bf16', 1.005, True), ('int8', 0.995, True),
    ('bf16', 1.05, False)])
def test_a_rounder_length_is_mended_where_it_was_computed_in_few_bits(
        model_folder, precision, length, well):
    card = replace(read_card(model_folder), dim=2)
    rows = np.array([[length, 0.0]], np.float32)
    if not well:
        with pytest.raises(ModelError, match='not 1'):
            checked_descriptors(rows, 1, card, precision)
        return
    got = checked_descriptors(rows, 1, card, precision)
    assert got[0, 0] == pytest.approx(length if precision == 'fp32' else 1.0, abs=1e-6)
