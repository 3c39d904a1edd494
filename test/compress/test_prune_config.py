# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import pytest

from vpr_ros.compress.prune_config import LearnConfig, PruneConfig, RunConfig, SCHEDULES
from vpr_ros.errors import ModelError


def at(schedule, steps=4, sparsity=0.8):
    config = PruneConfig(sparsity=sparsity, steps=steps, schedule=schedule)
    return [config.sparsity_at(step) for step in range(steps + 1)]


def test_linear_takes_the_same_each_time():
    assert at('linear') == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_cubic_takes_much_at_first():
    # .8 (1 - (1 - e/4)^3): 1 - 27/64, 1 - 8/64, 1 - 1/64
    assert at('cubic') == pytest.approx([0.0, 0.4625, 0.7, 0.7875, 0.8])


def test_one_shot_takes_all_at_once():
    assert at('one-shot') == pytest.approx([0.0, 0.8, 0.8, 0.8, 0.8])


@given(st.sampled_from(SCHEDULES), st.integers(1, 30), st.floats(0.0, 0.95))
def test_every_schedule_rises_to_exactly_the_sparsity(schedule, steps, sparsity):
    found = at(schedule, steps, sparsity)
    assert found[0] == 0.0
    assert found[-1] == sparsity
    assert found == sorted(found)


@pytest.mark.parametrize(('knobs', 'complaint'), [
    ({'schedule': 'square'}, "schedule 'square' is not known; choose one of linear, cubic"),
    ({'criterion': 'l3'}, "criterion 'l3' is not known"),
    ({'allocation': 'fair'}, "allocation 'fair' is not known"),
    ({'steps': 0}, 'steps must be at least 1, not 0'),
    ({'sparsity': 1.0}, 'sparsity must be at least 0 and below 1'),
    ({'gamma': 2.0}, 'gamma x sparsity below 1, not 2.0 x 0.5'),
    ({'multiple': 0}, 'multiples of 1 or more'),
    ({'least': -0.1}, 'least must be between 0 and 1')])
def test_what_cannot_be_cut_is_refused(knobs, complaint):
    with pytest.raises(ModelError, match=complaint):
        PruneConfig(**knobs)


@pytest.mark.parametrize(('knobs', 'complaint'), [
    ({'batch': 0}, 'batch must be at least 1, not 0'),
    ({'threads': 0}, 'threads must be at least 1, not 0'),
    ({'epochs': -1}, 'epochs must not be negative, not -1'),
    ({'learning_rate': float('nan')}, 'learning_rate must not be negative, not nan'),
    ({'warmup': 1.1}, 'warmup must be between 0 and 1'),
    ({'ema': 1.0}, 'ema at least 0 and below 1'),
    ({'views': 16, 'reuse': 2, 'batch': 64}, 'an epoch of 16 views x 2 holds no batch of 64'),
    ({'batch': 64, 'accumulate': 3}, 'a batch of 64 cannot be computed in 3 equal parts'),
    ({'views_per_place': 1}, 'views_per_place must be at least 2'),
    ({'amp': 'maybe'}, "amp must be auto, on or off, not 'maybe'")])
def test_what_cannot_be_learned_is_refused(knobs, complaint):
    with pytest.raises(ModelError, match=complaint):
        LearnConfig(**knobs)


def test_a_file_says_some_and_the_command_more(tmp_path):
    file = tmp_path / 'prune.yaml'
    file.write_text('sparsity: 0.75\nsteps: 3\nlearning_rate: 1\nfreeze: [backbone.0]\n')
    config = RunConfig.read(file, steps=7, seed=5)
    assert config == RunConfig(PruneConfig(sparsity=0.75, steps=7, freeze=('backbone.0',)),
                               LearnConfig(learning_rate=1.0, seed=5))
    assert isinstance(config.learn.learning_rate, float)
    file.write_text('')
    assert RunConfig.read(file) == RunConfig.read(None) == RunConfig()


@pytest.mark.parametrize(('text', 'complaint'), [
    ('sparsty: 0.5', 'prune.yaml has unknown keys: sparsty; there are sparsity, gamma'),
    ('steps: many', "prune.yaml: steps must be int, not 'many'"),
    ('steps: 2.5', 'steps must be int, not 2.5'),
    ('steps: true', 'steps must be int, not True'),
    ('freeze: backbone', "freeze must be tuple, not 'backbone'"),
    ('- sparsity', 'prune.yaml is no table of keys'),
    ('sparsity: [', 'prune.yaml cannot be read as YAML'),
    ('ema: 0.9\nbatch: 0', 'batch must be at least 1')])
def test_a_file_that_is_wrong_is_refused(tmp_path, text, complaint):
    file = tmp_path / 'prune.yaml'
    file.write_text(text)
    with pytest.raises(ModelError, match=complaint):
        RunConfig.read(file)


def test_a_command_that_is_wrong_is_refused(tmp_path):
    with pytest.raises(ModelError, match='the command has unknown keys: stepps'):
        RunConfig.read(None, stepps=3)
    with pytest.raises(ModelError, match="the command: gamma must be float, not 'half'"):
        RunConfig.read(None, gamma='half')
    with pytest.raises(ModelError, match='cannot be read as YAML'):
        RunConfig.read(tmp_path / 'absent.yaml')
