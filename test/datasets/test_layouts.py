# SPDX-License-Identifier: Apache-2.0
"""Every layout on a miniature of it: what is read, and how what is wrong is said."""

from dataclasses import replace
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vpr_ros.datasets.at_names import parse_name
from vpr_ros.datasets.file_runs import positives_by_metres, positives_by_number
from vpr_ros.datasets.gsv_cities import gsv_cities
from vpr_ros.datasets.layout import Layout, LayoutOptions
from vpr_ros.datasets.layouts import layout_named, LAYOUTS
from vpr_ros.errors import DatasetError

SHARED = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared'))
ANY = LayoutOptions()


def pair_of(name, root, **options):
    return LAYOUTS[name].open_pair(root, LayoutOptions(**options))


def places_of(name, root, **options):
    return LAYOUTS[name].open_places(root, LayoutOptions(**options))


def values(run):
    return [int(image[0, 0, 0]) for image in run.images]


def at_name(east, north, heading='', note=''):
    where = f'@{east:010.2f}@{north:010.2f}@17@T@040.4@-080.0'
    return f'{where}@pano_1@@{heading}@@@@201901@{note}@.jpg'


@pytest.fixture
def pitts(tmp_path, picture):
    """Three map images 20 m apart, queries at 0 m, 30 m and far away; `@` in a folder."""
    root = tmp_path / 'with @ sign @1@2@' / 'pitts30k'
    for i, north in enumerate((0.0, 20.0, 40.0)):
        picture(root / 'images/test/database' / at_name(584_000, 4_477_000 + north), 10 * i)
    for i, north in enumerate((0.0, 30.0, 900.0)):
        picture(root / 'images/test/queries' / at_name(584_000, 4_477_000 + north), 100 + 10 * i)
    return root


def test_pitts_is_read_by_base_names_alone(pitts):
    pair = pair_of('pitts30k', pitts)
    assert pair.positives == ((0, 1), (1, 2), ())
    assert pair.metric_positives() == pair.positives
    assert values(pair.mapping) == [0, 10, 20]
    assert values(pair.query) == [100, 110, 120]
    assert pair.protocol == ('pitts30k, split test, map = database, query = queries, all images '
                             'of both folders; a positive is a map image within 25 m')
    assert pair_of('pitts30k', pitts, tolerance_m=5.0).positives == ((0,), (), ())


def test_a_distance_of_exactly_the_tolerance_is_within(pitts):
    assert pair_of('pitts30k', pitts, tolerance_m=20.0).positives[0] == (0, 1)


def test_a_missing_split_shows_how_the_folder_must_look(pitts):
    with pytest.raises(DatasetError) as caught:
        pair_of('pitts30k', pitts, split='val')
    said, _, drawing = str(caught.value).partition('\n\n')
    assert said.endswith('sorted by format_pitts30k.py of VPR-datasets-downloader '
                         '(github.com/gmberton/VPR-datasets-downloader)')
    assert 'images/val is not there' in said
    assert drawing == LAYOUTS['pitts30k'].drawing()
    assert '      {train,val,test}/' in drawing


def test_the_same_position_twice_is_two_images(pitts, picture):
    picture(pitts / 'images/test/database' / at_name(584_000, 4_477_000, note='again'), 77)
    assert pair_of('pitts30k', pitts).positives[0] == (0, 1, 2)


@pytest.mark.parametrize('name', ['street.jpg', '@12@.jpg', 'x@1@2@.jpg', '@a@2@3@.jpg',
                                  '@nan@2@3@.jpg', '@1@inf@@.jpg'])
def test_a_name_of_another_kind_is_refused(pitts, picture, name):
    picture(pitts / 'images/test/queries' / name)
    with pytest.raises(DatasetError, match=r'is not a name as @UTM_east@UTM_north@'):
        pair_of('pitts30k', pitts)


def test_headings_in_names_are_used_where_all_have_one(tmp_path, picture):
    for i, heading in enumerate((0, 180)):
        picture(tmp_path / 'database' / at_name(10.0 + i, 0.0, heading))
    picture(tmp_path / 'queries' / at_name(10.0, 0.0, 170))
    assert pair_of('at', tmp_path).positives == ((0, 1),)
    turned = pair_of('at', tmp_path, tolerance_deg=40.0)
    assert turned.positives == turned.metric_positives() == ((1,),)
    assert 'within 25 m and 40 degrees of heading' in turned.protocol
    picture(tmp_path / 'queries' / at_name(11.0, 0.0))
    with pytest.raises(DatasetError, match='a tolerance of 40 degrees needs headings'):
        pair_of('at', tmp_path, tolerance_deg=40.0)


def test_at_names_may_lie_deeper_and_folders_be_called_anything(tmp_path, picture):
    picture(tmp_path / 'été 1' / 'b@d' / at_name(1.0, 2.0))
    picture(tmp_path / '冬' / at_name(1.0, 3.0))
    pair = pair_of('at', tmp_path, map_name='été 1', query_name='冬')
    assert pair.positives == ((0,),)
    assert 'map = été 1, query = 冬' in pair.protocol


def test_at_names_give_places_to_learn_from(pitts):
    places = places_of('pitts30k', pitts, split='test', tolerance_m=5.0)
    assert places.place_of.tolist() == [0, 1, 2, 0, 3]
    assert 'within 5 m' in places.protocol


@pytest.mark.parametrize(('name', 'east', 'north', 'heading'), [
    ('@0584000.00@4477000.50@17@T@@@@@@@@@@@.jpg', 584000.0, 4477000.5, math.nan),
    ('@0@00002.4@@@@@1@@@@@@@@.png', 0.0, 2.4, math.nan),
    ('@1@2@@@@@p@@270@@@@@@.jpg', 1.0, 2.0, 270.0),
    ('@-1.5@2@.jpg', -1.5, 2.0, math.nan)])
def test_names_are_parsed(name, east, north, heading):
    position, found = parse_name(name)
    assert position == (east, north)
    assert found == heading or (math.isnan(found) and math.isnan(heading))


GSV_HEADER = 'place_id,year,month,northdeg,city_id,lat,lon,panoid\n'


@pytest.fixture
def gsv(tmp_path, picture):
    (tmp_path / 'Dataframes').mkdir()
    rows = [(130, 2018, 4, 15, 51.4861, '-0.0895151', 'pano_a'), (130, 2008, 11, 5, 51.48612,
            '-0.089515', '-b'), (7, 2015, 6, 97, 51.5233, '-0.158693', 'c')]
    (tmp_path / 'Dataframes' / 'London.csv').write_text(GSV_HEADER + ''.join(
        f'{p},{y},{m},{n},London,{lat},{lon},{pano}\n' for p, y, m, n, lat, lon, pano in rows))
    folder = tmp_path / 'Images' / 'London'
    picture(folder / 'London_0000130_2018_04_015_51.4861_-0.0895151_pano_a.JPG', 1)
    picture(folder / 'London_0000130_2008_11_005_51.48612_-0.089515_-b.jpg', 2)
    picture(folder / 'London_0000007_2015_06_097_51.5233_-0.158693_c.jpg', 3)
    (tmp_path / 'Dataframes' / 'PRS.csv').write_text(
        GSV_HEADER + '1,2019,7,411,Paris,48.797,2.2314,d\n1,2019,8,45,Paris,48.797,2.2314,e\n')
    picture(tmp_path / 'Images/Paris/Paris_0000001_2019_07_411_48.797_2.2314_d.jpg', 4)
    picture(tmp_path / 'Images/Paris/Paris_0000001_2019_08_045_48.797_2.2314_e.jpg', 5)
    return tmp_path


def test_gsv_cities_gives_its_places(gsv):
    places = gsv_cities(gsv, least_images=2)
    assert values(places) == [1, 2, 4, 5]
    assert places.place_of.tolist() == [0, 0, 1, 1]
    apart = np.linalg.norm(places.positions_m[0] - places.positions_m[1])
    assert apart == pytest.approx(2.2, abs=0.1)
    assert np.degrees(places.headings_rad[0]) == pytest.approx(75.0)
    assert gsv_cities(gsv, ('London',), 1).place_of.tolist() == [0, 0, 1]


def test_gsv_cities_names_what_is_wrong(gsv):
    with pytest.raises(DatasetError, match='the cities there are London, PRS.*kaggle'):
        places_of('gsv-cities', gsv, cities=('Rome',))
    with pytest.raises(DatasetError, match='no place of London has 4 images; the most is 2'):
        places_of('gsv-cities', gsv, cities=('London',))
    (gsv / 'Images/Paris/Paris_0000001_2019_08_045_48.797_2.2314_e.jpg').unlink()
    with pytest.raises(DatasetError, match=r'_e\.jpg is not there, but PRS\.csv names it'):
        gsv_cities(gsv, ('PRS',), 1)
    (gsv / 'Dataframes' / 'London.csv').write_text('place,lat\n1,2\n')
    with pytest.raises(DatasetError, match=r'London\.csv has no column place_id or year'):
        gsv_cities(gsv, ('London',), 1)
    with pytest.raises(DatasetError, match='Dataframes holds no CSV'):
        places_of('gsv-cities', gsv / 'Images')


def msls_side(folder, picture, rows, value=0):
    """Write one side; rows are (key, east, north, angle, pano, marked)."""
    folder.mkdir(parents=True)
    (folder / 'postprocessed.csv').write_text(
        ',key,easting,northing,unique_cluster,night,control_panel,view_direction\n' + ''.join(
            f'{i},{key},{east},{north},1,False,False,Forward\n'
            for i, (key, east, north, *_) in enumerate(rows)))
    (folder / 'raw.csv').write_text(',key,lon,lat,ca,captured_at,pano\n' + ''.join(
        f'{i},{row[0]},12.5,55.6,{row[3]},2017-01-01,{row[4]}\n' for i, row in enumerate(rows)))
    (folder / 'subtask_index.csv').write_text(',key,all,s2w\n' + ''.join(
        f'{i},{row[0]},{row[5]},False\n' for i, row in enumerate(rows)))
    for i, row in enumerate(rows):
        picture(folder / 'images' / f'{row[0]}.jpg', value + i)


@pytest.fixture
def msls(tmp_path, picture):
    cities = tmp_path / 'train_val'
    for value, (city, east) in enumerate((('cph', 346_000.0), ('sf', 551_000.0))):
        msls_side(cities / city / 'database', picture, [
            ('a-1', east, 100.0, 0.0, False, True), ('b', east, 110.0, 180.0, False, True),
            ('pano', east, 100.0, 0.0, True, True)], 100 * value)
        msls_side(cities / city / 'query', picture, [
            ('q', east, 100.0, 20.0, False, True), ('unmarked', east, 110.0, 0.0, False, False),
            ('far', east, 5000.0, 0.0, False, True)], 100 * value + 50)
    return tmp_path


def test_msls_is_read_as_it_is_published(msls):
    pair = pair_of('msls', msls)
    assert pair.positives == ((0, 1), (), (2, 3), ())
    assert pair.metric_positives() == pair.positives
    assert len(pair.mapping.images) == 4
    assert 'cities cph, sf' in pair.protocol
    assert 'marked `all` in subtask_index.csv' in pair.protocol


def test_msls_by_all_queries_and_by_heading(msls):
    everything = pair_of('msls', msls, split='val-all', cities=('sf',))
    assert everything.positives == ((0, 1), (0, 1), ())
    assert 'queries = all' in everything.protocol
    turned = pair_of('msls', msls, tolerance_deg=40.0, cities=('sf',))
    assert turned.positives == turned.metric_positives() == ((0,), ())


def test_msls_gives_places(msls):
    # 10 m and 30 degrees: q lies 20 degrees from a-1, `unmarked` 10 m from it, b looks back.
    places = places_of('msls', msls, cities=('sf', 'cph'))
    assert places.place_of.tolist() == [0, 1, 0, 0, 2, 3, 4, 3, 3, 5]
    assert values(places) == [100, 101, 150, 151, 152, 0, 1, 50, 51, 52]
    with pytest.raises(DatasetError, match='holds no city to learn from'):
        places_of('msls', msls)


def test_msls_names_what_is_wrong(msls):
    folder = msls / 'train_val' / 'cph' / 'query'
    with pytest.raises(DatasetError, match="no split 'test'; there are val and val-all"):
        pair_of('msls', msls, split='test')
    with pytest.raises(DatasetError, match=r'train_val/oslo is not there.*mapillary\.com'):
        pair_of('msls', msls, cities=('oslo',))
    (folder / 'images' / 'q.jpg').unlink()
    with pytest.raises(DatasetError, match=r'lacks q\.jpg and 0 more'):
        pair_of('msls', msls)
    raw = (folder / 'raw.csv').read_text()
    (folder / 'raw.csv').write_text(raw.replace('q,12.5', 'other,12.5'))
    with pytest.raises(DatasetError, match='do not list the same images'):
        pair_of('msls', msls)
    (folder / 'raw.csv').write_text(raw.replace('False', 'perhaps', 1))
    with pytest.raises(DatasetError, match="line 2: pano is 'perhaps'"):
        pair_of('msls', msls)
    (folder / 'subtask_index.csv').unlink()
    (folder / 'raw.csv').write_text(raw)
    with pytest.raises(DatasetError, match=r'subtask_index\.csv cannot be read'):
        pair_of('msls', msls)


@pytest.fixture
def nordland(tmp_path, picture):
    for number in (1, 2, 3, 10, 11):
        picture(tmp_path / 'summer' / f'images-{number:05d}.png', number)
        if number != 3:
            picture(tmp_path / 'winter' / 'section 1' / f'images-{number:05d}.png', 100 + number)
    return tmp_path


SAID = {'map_name': 'summer', 'query_name': 'winter', 'split': 'all', 'tolerance_frames': 1}


def test_nordland_goes_by_frame_numbers(nordland):
    pair = pair_of('nordland', nordland, **SAID)
    assert values(pair.mapping) == [1, 2, 10, 11]
    assert values(pair.query) == [101, 102, 110, 111]
    assert pair.positives == ((0, 1), (0, 1), (2, 3), (2, 3))
    assert pair.protocol == ('Nordland, split all (4 frames), map = summer, query = winter; a '
                             'positive is a frame whose number differs by up to 1 (+-1)')


@pytest.mark.parametrize(('split', 'kept'), [('2:10', [2, 10]), ('1:11:9', [1, 10]),
                                             ('names.txt', [1, 11])])
def test_nordland_is_split_by_numbers_or_by_a_file(nordland, split, kept):
    (nordland / 'names.txt').write_text('images-00001.png\nimages-00011.png\n')
    pair = pair_of('nordland', nordland, **{**SAID, 'split': split})
    assert values(pair.mapping) == kept
    assert f'split {split} ({len(kept)} frames)' in pair.protocol


def test_nordland_asks_for_what_papers_differ_in(nordland, picture):
    with pytest.raises(DatasetError, match='say --split, --tolerance-frames'):
        pair_of('nordland', nordland, map_name='summer', query_name='winter')
    for split, said in (('some', 'is neither `all`'), ('5:9', 'no frame in common'),
                        ('1:2:0', 'must be at least 1')):
        with pytest.raises(DatasetError, match=said):
            pair_of('nordland', nordland, **{**SAID, 'split': split})
    picture(nordland / 'winter' / 'section 2' / 'images-00001.png')
    with pytest.raises(DatasetError, match='have the same frame number'):
        pair_of('nordland', nordland, **SAID)


def test_folders_by_order(tmp_path, picture):
    for i in (2, 10, 1):
        picture(tmp_path / 'map' / f'{i}.jpg', i)
        picture(tmp_path / 'query' / f'{i}.jpg', 100 + i)
    pair = pair_of('by-order', tmp_path, tolerance_frames=1)
    assert values(pair.mapping) == [1, 2, 10]
    assert pair.positives == ((0, 1), (0, 1, 2), (1, 2))
    assert pair_of('by-order', tmp_path, tolerance_frames=0).positives == ((0,), (1,), (2,))
    picture(tmp_path / 'map' / '3.jpg')
    with pytest.raises(DatasetError, match='has 4 pictures and .* 3: the i-th cannot belong'):
        pair_of('by-order', tmp_path, tolerance_frames=0)


def test_folders_by_lists(tmp_path, picture):
    for name in ('a b.jpg', 'ü.jpg', 'deep/c.jpg'):
        picture(tmp_path / 'map' / name)
    for name in ('1.jpg', '2.jpg'):
        picture(tmp_path / 'query' / name)
    file = tmp_path / 'ground_truth.csv'
    file.write_text('query,place\n2.jpg,ü.jpg\n2.jpg,deep/c.jpg\n2.jpg,ü.jpg\n', encoding='utf-8')
    pair = pair_of('by-lists', tmp_path)
    names = [f.name for f in pair.mapping.images.files]
    assert [sorted(names[i] for i in row) for row in pair.positives] == [[], ['c.jpg', 'ü.jpg']]
    file.write_text('query,place\n3.jpg,ü.jpg\n', encoding='utf-8')
    with pytest.raises(DatasetError, match=r'line 2: there is no .*query/3\.jpg'):
        pair_of('by-lists', tmp_path)
    file.write_text('q,p\n', encoding='utf-8')
    with pytest.raises(DatasetError, match=r'no column query or place(.|\n)*ground_truth\.csv'):
        pair_of('by-lists', tmp_path)


@pytest.fixture
def posed(tmp_path, picture):
    for folder, rows in (('map', 'a.jpg,0,0,0\nb.jpg,1,0,180\n'), ('query', 'c.jpg,0.4,0,170\n')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'poses.csv').write_text('name,x_m,y_m,yaw_deg\n' + rows)
    for name in ('map/a', 'map/b', 'query/c'):
        picture(tmp_path / f'{name}.jpg')
    return tmp_path


def test_folders_by_poses(posed):
    assert pair_of('by-poses', posed, tolerance_m=1.0).positives == ((0, 1),)
    turned = pair_of('by-poses', posed, tolerance_m=1.0, tolerance_deg=20.0)
    assert turned.positives == turned.metric_positives() == ((1,),)
    with pytest.raises(DatasetError, match='say --tolerance-m'):
        pair_of('by-poses', posed)
    places = places_of('by-poses', posed, tolerance_m=0.7, tolerance_deg=20.0)
    assert places.place_of.tolist() == [0, 1, 1]


@pytest.mark.parametrize(('text', 'said'), [
    ('name,x_m\nc.jpg,1\n', 'has no column y_m'),
    ('name,x_m,y_m\n', 'has a header and no rows'),
    ('name,x_m,y_m\nc.jpg,1,2\nc.jpg,1,2\n', r'names c\.jpg twice'),
    ('name,x_m,y_m\nd.jpg,1,2\n', r'd\.jpg and 0 more are not there'),
    ('name,x_m,y_m\nc.jpg,1,inf\n', "line 2: y_m is 'inf'"),
    ('name,x_m,y_m,z_m\nc.jpg,1,2,3\n', 'only one of map and query gives z_m'),
])
def test_poses_of_another_kind_are_refused(posed, text, said):
    (posed / 'query' / 'poses.csv').write_text(text)
    with pytest.raises(DatasetError, match=said):
        pair_of('by-poses', posed, tolerance_m=1.0)


@pytest.fixture
def bench(tmp_path, picture):
    for part, count in (('query', 3), ('ref', 2)):
        for i in range(count):
            picture(tmp_path / part / f'{i:07d}.jpg')
    table = np.empty((2, 2), object)
    table[0], table[1] = [0, [0, 1]], [2, np.array([1])]
    np.save(tmp_path / 'ground_truth_new.npy', table, allow_pickle=True)
    return tmp_path


def test_vpr_bench_by_its_lists(bench):
    assert pair_of('vpr-bench', bench).positives == ((0, 1), (), (1,))
    (bench / 'ground_truth_new.npy').unlink()
    with pytest.raises(DatasetError, match='ground_truth_new.npy is not there'):
        pair_of('vpr-bench', bench)
    (bench / 'ground_truth.json').write_text(json.dumps([[1, [0]]]))
    assert pair_of('vpr-bench', bench).positives == ((), (0,), ())


@pytest.mark.parametrize(('rows', 'said'), [
    ([[3, [0]]], 'names query 3, but there are 3'), ([[0, [2]]], 'names place 2, but there are 2'),
    ([[0, [-1]]], 'names place -1'), ([[-1, [0]]], 'names query -1'), ([0, 1], 'does not hold'),
    ([[0, ['x']]], 'does not hold'), ({'rows': 1}, 'does not hold')])
def test_lists_that_do_not_fit_are_refused(bench, rows, said):
    (bench / 'ground_truth_new.npy').unlink()
    (bench / 'ground_truth.json').write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match=said):
        pair_of('vpr-bench', bench)


@pytest.mark.skipif(not (SHARED / 'data/corridor').is_dir(),
                    reason=f'the image sets are not at {SHARED}/data; set VPR_SHARED')
def test_a_real_set_reads_alike_in_both_layouts():
    folder = SHARED / 'data' / 'corridor'
    assert pair_of('vpr-bench', folder).positives == pair_of('corridor', folder).positives
    assert pair_of('corridor', folder.parent).positives == pair_of('corridor', folder).positives


@pytest.fixture
def tutorial(tmp_path, picture):
    for i in range(3):
        picture(tmp_path / 'dry' / f'{i}.jpg')
    for i in range(2):
        picture(tmp_path / 'jan' / f'{i}.jpg')
    hard = np.array([[1, 0], [0, 0], [0, 1]], bool)
    soft = hard | np.array([[0, 0], [1, 0], [0, 0]], bool)
    np.savez(tmp_path / 'GT.npz', GThard=hard, GTsoft=soft)
    return tmp_path


def test_vpr_tutorial_by_its_matrices(tutorial):
    assert pair_of('vpr-tutorial', tutorial).positives == ((0, 1), (2,))
    hard = pair_of('vpr-tutorial', tutorial, truth='hard')
    assert hard.positives == ((0,), (2,))
    assert 'positives by GThard (GT.npz), all else is wrong' in hard.protocol
    with np.load(tutorial / 'GT.npz') as arrays:
        savemat(tutorial / 'GT.mat', dict(arrays))
    (tutorial / 'GT.npz').unlink()
    assert pair_of('vpr-tutorial', tutorial).positives == ((0, 1), (2,))


def test_gardens_point_needs_no_file(tmp_path, picture):
    for i in range(12):
        picture(tmp_path / 'day_right' / f'Image{i:03d}.jpg')
        picture(tmp_path / 'night_right' / f'Image{i:03d}.jpg')
    assert pair_of('vpr-tutorial', tmp_path).positives[0] == tuple(range(9))
    assert pair_of('vpr-tutorial', tmp_path, truth='hard').positives[5] == (5,)


def test_vpr_tutorial_names_what_is_wrong(tutorial, picture):
    with pytest.raises(DatasetError, match='choose hard or soft'):
        pair_of('vpr-tutorial', tutorial, truth='medium')
    with pytest.raises(DatasetError, match='give both --map-name and --query-name'):
        pair_of('vpr-tutorial', tutorial, map_name='dry')
    with pytest.raises(DatasetError, match='none of the known pairs of folders'):
        pair_of('vpr-tutorial', tutorial / 'dry')
    picture(tutorial / 'jan' / 'late.jpg')
    with pytest.raises(DatasetError, match=r'GTsoft .* is \(3, 2\), but there are 3 pictures'):
        pair_of('vpr-tutorial', tutorial)
    np.savez(tutorial / 'GT.npz', other=np.eye(3))
    with pytest.raises(DatasetError, match='holds no GTsoft'):
        pair_of('vpr-tutorial', tutorial)
    (tutorial / 'GT.npz').write_bytes(b'PK no zip')
    with pytest.raises(DatasetError, match='cannot be read'):
        pair_of('vpr-tutorial', tutorial)
    (tutorial / 'GT.npz').unlink()
    (tutorial / 'GT.mat').write_bytes(b'MATLAB 7.3 MAT-file' + b' ' * 105 + b'\x00\x02IM')
    with pytest.raises(DatasetError, match='is of MATLAB 7.3'):
        pair_of('vpr-tutorial', tutorial)


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_missing_folder_is_drawn_with_its_source(name, tmp_path):
    layout = LAYOUTS[name]
    said = {'tolerance_frames': 1, 'tolerance_m': 1.0, 'split': 'all', 'map_name': 'a',
            'query_name': 'b'}
    options = LayoutOptions(**{key: said[key] for key in layout.needs})
    read = layout.open_pair if layout.pair else layout.open_places
    for root in (tmp_path / 'no such', tmp_path):
        with pytest.raises(DatasetError) as caught:
            read(root, options)
        said_now = str(caught.value)
        assert layout.drawing() in said_now
        assert layout.source in said_now
        assert said_now.count('must look as drawn below') == 1


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_layout_takes_its_own_options_alone(name, tmp_path):
    layout = LAYOUTS[name]
    every = LayoutOptions('s', 'm', 'q', ('c',), 1.0, 2.0, 3, 't')
    read = layout.open_pair if layout.pair else layout.open_places
    with pytest.raises(DatasetError, match=f'means nothing for {name}; it takes'):
        read(tmp_path, every)
    assert layout.pair or layout.places
    assert layout.what


def test_a_set_to_learn_from_is_not_evaluated_and_the_other_way_round(tmp_path):
    with pytest.raises(DatasetError, match='gsv-cities is a set to learn from'):
        pair_of('gsv-cities', tmp_path)
    with pytest.raises(DatasetError, match='nordland is a set to evaluate on'):
        places_of('nordland', tmp_path, **SAID)
    with pytest.raises(DatasetError, match="no layout is called 'kitti'; there are gsv-cities, "):
        layout_named('kitti')


def test_an_error_is_drawn_once(tmp_path):
    def reader(root, options):
        raise DatasetError('it is broken\n\nwith a drawing of its own')
    layout = Layout('odd', 'odd', 'tree', 'nowhere', reader)
    with pytest.raises(DatasetError, match=r'^it is broken\n\nwith a drawing of its own$'):
        layout.open_pair(tmp_path, ANY)
    assert replace(layout, takes=('split',)).takes == ('split',)


def test_positives_by_number_and_by_metres():
    assert positives_by_number([5, 1, 3], [3, 9], 2) == ((0, 1, 2), ())
    places = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert positives_by_metres(places, places[:1], 5.0) == ((0, 1),)
    assert positives_by_metres(places, places[:1], 4.9) == ((0,),)
    with pytest.raises(DatasetError, match='tolerances must be positive'):
        positives_by_metres(places, places, 0.0)
    with pytest.raises(DatasetError, match='must not be negative'):
        positives_by_number([0], [0], -1)


@pytest.mark.parametrize('name', LAYOUTS)
def test_the_documentation_draws_every_layout(name):
    text = (Path(__file__).resolve().parents[2] / 'docs' / 'datasets.md').read_text('utf-8')
    layout = LAYOUTS[name]
    if layout.source.startswith('the folder of sets of this project'):
        assert f'`{name}`' in text
    else:
        assert f'## {name}\n' in text
        assert layout.tree.strip('\n') in text
        assert layout.source in text
