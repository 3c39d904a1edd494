# SPDX-License-Identifier: Apache-2.0
"""What is learned from and what judges: never the same pictures."""

import cv2
import numpy as np
import pytest

pytest.importorskip('torch')

from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.errors import BagError, DatasetError, VprError
from vpr_ros.tools import lesson_source
from vpr_ros.tools.lesson_source import judging_pairs, LessonSource

SIZE = (16, 16)


def keys(images):
    return [np.asarray(image).tobytes() for image in images]


def learned(lessons):
    return keys(lessons.unchanged(100_000, SIZE))


@pytest.fixture
def photos(tmp_path):
    """Write pictures of noise: `photos(name, count) -> folder`."""
    def write(name, count, seed=0):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for row in range(count):
            pixels = np.random.default_rng([seed, row]).integers(0, 256, (*SIZE, 3), np.uint8)
            cv2.imwrite(str(folder / f'{row:04d}.png'), pixels)
        return folder
    return write


@pytest.fixture
def loop(tmp_path, toy_picture):
    """Record two laps of 20 m, as a robot without labels takes them: `loop(name) -> bag`."""
    def record(name, shift=0.0):
        with BagWriter(tmp_path / name, 'mcap') as bag:
            for row in range(40):
                stamp_ns, x = row * 10**9, float(row % 20)
                bag.pose_stamped('/pose', stamp_ns, se3.from_xy_yaw(x, 0.0, 0.0))
                bag.image('/image', stamp_ns, toy_picture(x + 100.0 * (row // 20) + shift), 'eye')
        return tmp_path / name
    return record


@pytest.fixture
def rendered(monkeypatch, toy_picture):
    """Stand in for the renderer, which takes seconds."""
    monkeypatch.setattr(lesson_source, 'training_images', lambda seed, count, size_px: (
        toy_picture(1000.0 * (seed + 1) + row) for row in range(count)))


def posed_set(photos, name, seed=0):
    """Write a set with poses: three places of three pictures, in map/ and query/."""
    for part in ('map', 'query'):
        folder = photos(f'{name}/{part}', 9, seed + (part == 'query'))
        rows = [f'{row:04d}.png,{50 * (row // 3) + row % 3},0' for row in range(9)]
        (folder / 'poses.csv').write_text('\n'.join(['name,x_m,y_m', *rows]) + '\n')
    return folder.parent


def test_of_a_bag_with_poses_the_later_half_judges(loop, toy_picture):
    lessons, [pair] = LessonSource((loop('run'),), truth='/pose').lessons(4, False)
    earlier = keys(toy_picture(float(x)) for x in range(20))
    assert learned(lessons) == keys(pair.mapping.images) == earlier
    assert keys(pair.query.images) == keys(toy_picture(100.0 + x) for x in range(20))
    assert not set(keys(pair.query.images)) & set(learned(lessons))
    assert pair.metric_positives()[10] == tuple(range(8, 13))   # within two metres
    assert 'the earlier half of the bag, query = the later' in pair.protocol


def test_a_second_bag_judges_all_of_the_first(loop, toy_picture):
    lessons, [pair] = LessonSource((loop('run'),), truth='/pose', query=loop('again', 0.5)
                                   ).lessons(4, False)
    assert len(learned(lessons)) == 40
    assert pair.name == 'again'
    assert len(keys(pair.query.images)) == 40
    assert not set(keys(pair.query.images)) & set(learned(lessons))


def test_more_pictures_are_learned_from_and_do_not_judge(loop, photos, rendered):
    source = LessonSource((loop('run'), photos('more', 9), loop('other', 0.25)), truth='/pose',
                          world=3)
    lessons, [pair] = source.lessons(4, False)
    assert len(learned(lessons)) == 20 + 9 + 40 + 3
    assert not set(keys(pair.query.images)) & set(learned(lessons))


def test_where_sets_judge_all_of_a_bag_without_poses_teaches(loop, rendered):
    lessons, pairs = LessonSource((loop('run'),), world=2).lessons(4, True)
    assert len(learned(lessons)) == 42
    assert pairs == []


def test_where_sets_judge_the_later_half_is_still_not_learned_from(loop):
    lessons, pairs = LessonSource((loop('run'),), truth='/pose').lessons(4, True)
    assert len(learned(lessons)) == 20
    assert pairs == []


@pytest.mark.parametrize('count', [40, 41, 44])
def test_without_poses_a_fifth_is_kept_back_and_judges_itself(photos, count):
    folder = photos('pictures', count)
    lessons, [pair] = LessonSource((folder,)).lessons(4, False)
    kept = keys(pair.mapping.images)
    assert len(kept) == -(-count // 5)
    assert len(learned(lessons)) == count - len(kept)
    assert not set(kept) & set(learned(lessons))
    assert set(kept) | set(learned(lessons)) == set(keys(lesson_source.folder_pictures(folder,
                                                                                       count)))
    assert 'self-labelled' in pair.protocol


def test_so_it_is_with_a_bag_and_of_the_world_all_is_learned(loop, rendered):
    lessons, [pair] = LessonSource((loop('run'),), world=4).lessons(4, False)
    assert len(pair.mapping.images) == 8
    assert len(learned(lessons)) == 32 + 4
    assert not set(keys(pair.mapping.images)) & set(learned(lessons))


def test_rendered_pictures_alone_are_held_out_alike(rendered):
    lessons, [pair] = LessonSource(world=40).lessons(4, False)
    assert len(pair.mapping.images) == 8
    assert len(learned(lessons)) == 32
    assert not set(keys(pair.mapping.images)) & set(learned(lessons))


def test_no_more_than_some_are_kept_back(photos, monkeypatch):
    monkeypatch.setattr(lesson_source, '_MOST_JUDGES', 3)
    lessons, [pair] = LessonSource((photos('pictures', 40),)).lessons(4, False)
    assert len(pair.mapping.images) == 3
    assert len(learned(lessons)) == 37
    assert not set(keys(pair.mapping.images)) & set(learned(lessons))


def test_the_world_is_of_the_seed(rendered):
    one, same, other = (learned(LessonSource(world=10, seed=seed).lessons(4, True)[0])
                        for seed in (0, 0, 1))
    assert one == same
    assert not set(one) & set(other)


def test_the_world_is_rendered():
    lessons, [pair] = LessonSource(world=10).lessons(4, False)
    assert lessons.what == 'views of 8 unlabelled images'
    assert pair.mapping.images[0].shape == (*lesson_source.WORLD_PX, 3)


def test_places_teach_with_labels(photos, loop):
    folder = posed_set(photos, 'posed')
    lessons, pairs = LessonSource(places=(f'by-poses={folder},tolerance-m=5',)).lessons(3, True)
    assert pairs == []
    assert lessons.together == 3
    views = lessons.views(0, 6, SIZE, 0)
    assert views.places.tolist() in ([a] * 3 + [b] * 3 for a in range(3) for b in range(3))
    bag = LessonSource(places=(f'bag={loop("run")}',), truth='/pose').lessons(2, True)[0]
    assert bag.what.startswith('2 views each of ')
    both = LessonSource(places=(f'by-poses={folder},tolerance-m=5', f'bag={loop("another")}'),
                        truth='/pose')
    count = int(bag.what.split()[4])
    assert both.lessons(2, True)[0].what == f'2 views each of {count + 3} labelled places'


def test_places_of_the_world_are_places():
    lessons, _ = LessonSource(places=('world',)).lessons(4, True)
    assert lessons.what.startswith('4 views each of ')


def test_named_sets_judge(photos):
    one, two = posed_set(photos, 'one'), posed_set(photos, 'two', 5)
    found = judging_pairs((f'by-poses={one},tolerance-m=5', f'by-order={two},tolerance-frames=1'))
    assert [len(pair.query.images) for pair in found] == [9, 9]
    assert [pair.name for pair in found] == ['one', 'two']
    assert judging_pairs(()) == []


def test_a_layout_that_is_none_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no layout is called 'pits'; there are gsv-cities"):
        judging_pairs((f'pits={tmp_path}',))
    with pytest.raises(VprError, match='gsv-cities'):
        judging_pairs((f'gsv-cities={tmp_path}',))
    with pytest.raises(VprError, match='by-order'):
        LessonSource(places=(f'by-order={tmp_path}',)).lessons(4, True)
    with pytest.raises(DatasetError, match='absent'):
        judging_pairs((f'by-poses={tmp_path / "absent"},tolerance-m=5',))


@pytest.mark.parametrize(('given', 'complaint'), [
    ({}, 'there is nothing to learn from; give --images'),
    ({'images': True, 'places': ('world',)}, 'give one of the two'),
    ({'world': -1}, '--world must not be negative, not -1'),
    ({'images': True, 'query': True}, 'its poses with --truth'),
    ({'places': ('world',), 'query': True, 'truth': '/pose'}, 'give the first with --images'),
])
def test_what_contradicts_itself_is_refused(tmp_path, given, complaint):
    given = dict(given)
    if given.pop('images', None):
        given['pictures'] = (tmp_path,)
    if 'query' in given:
        given['query'] = tmp_path
    with pytest.raises(VprError, match=complaint):
        LessonSource(**given)


def test_places_alone_leave_nothing_that_judges():
    with pytest.raises(VprError, match='all of --places is learned from; say with --validate'):
        LessonSource(places=('world',)).lessons(4, False)


def test_what_judges_is_not_named_to_learn_from(tmp_path, loop):
    run, again = loop('run'), loop('again')
    (tmp_path / 'link').symlink_to(run)
    for pictures, query in (((run,), run), ((run, again), again), ((run, tmp_path / 'link'), None),
                            ((run, run), None)):
        with pytest.raises(VprError, match='judges and would be learned from as well'):
            LessonSource(pictures, truth='/pose', query=query)


def test_what_is_not_there_is_named(tmp_path, photos):
    with pytest.raises(DatasetError, match='there is no .*absent; check the path'):
        LessonSource((tmp_path / 'absent',)).lessons(4, False)
    with pytest.raises(VprError, match='absent'):
        LessonSource((tmp_path / 'absent',), truth='/pose').lessons(4, False)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='empty holds no pictures'):
        LessonSource((tmp_path / 'empty',)).lessons(4, False)
    with pytest.raises(DatasetError, match='4 images are too few to learn from; give 8 or more'):
        LessonSource((photos('few', 5),)).lessons(4, False)
    with pytest.raises(VprError, match='few'):
        LessonSource((tmp_path / 'few',), truth='/pose').lessons(4, False)


def test_a_bag_without_what_is_asked_of_it_is_refused(loop):
    run = loop('run')
    with pytest.raises(BagError, match='/no'):
        LessonSource((run,), topic='/no').lessons(4, False)
    with pytest.raises(VprError, match='/no'):
        LessonSource((run,), truth='/no').lessons(4, False)
    with pytest.raises(VprError, match='say with --truth which topic'):
        LessonSource(places=(f'bag={run}',))


def test_places_that_were_seen_once_teach_nothing(photos):
    folder = posed_set(photos, 'posed')
    (folder / 'map' / 'poses.csv').write_text('name,x_m,y_m\n' + ''.join(
        f'{row:04d}.png,{100 * row},0\n' for row in range(9)))
    (folder / 'query' / 'poses.csv').write_text('name,x_m,y_m\n' + ''.join(
        f'{row:04d}.png,{100 * row + 5000},0\n' for row in range(9)))
    with pytest.raises(DatasetError, match='0 of 18 places have two images'):
        LessonSource(places=(f'by-poses={folder},tolerance-m=5',)).lessons(3, True)
