# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.bags.trajectory_files import read_trajectory_file, refuse_apart, TrajectoryFormat
from vpr_ros.core import pose as se3
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

TUM = """# a comment

1700000000.123456789 1.0 2.0 0.5 0 0 0 1
1700000000.5 1.5 2.0 0.5 0 0 0.6 0.8
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str, name: str = 'truth.tum') -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return written


def read(path, **how):
    return read_trajectory_file(path, 'map', **how)


def test_tum_keeps_every_nanosecond(write):
    found = read(write(TUM)).trajectory
    assert found.stamps_ns.tolist() == [1_700_000_000_123_456_789, 1_700_000_000_500_000_000]
    assert found.frame_id == 'map'
    assert found.poses[1].tolist() == [1.5, 2.0, 0.5, 0, 0, 0.6, 0.8]


def test_what_numpy_prints_is_a_stamp(write):
    found = read(write('1.403636579763555584e+18 0 0 0 0 0 0 1\n'), unit='ns').trajectory
    assert found.stamps_ns.tolist() == [1_403_636_579_763_555_584]


def test_eight_columns_are_tum_and_twelve_kitti(write):
    assert len(read(write(TUM, 'truth.txt')).trajectory.stamps_ns) == 2
    with pytest.raises(BagError, match='without times, as KITTI has them'):
        read(write('1 0 0 0 0 1 0 0 0 0 1 0\n', 'poses.txt'))
    with pytest.raises(BagError, match='has 3 columns, which is neither TUM'):
        read(write('1 2 3\n', 'poses.txt'))


def test_kitti_rows_become_poses(write):
    quarter = '0 -1 0 4 1 0 0 5 0 0 1 6\n'    # a quarter turn about z, at (4, 5, 6)
    poses = write('1 0 0 1 0 1 0 2 0 0 1 3\n' + quarter, 'poses.txt')
    found = read(poses, times=write('0.0\n1.5e-1\n', 'times.txt')).trajectory
    assert found.stamps_ns.tolist() == [0, 150_000_000]
    assert found.poses[0].tolist() == [1, 2, 3, 0, 0, 0, 1]
    assert se3.yaw_rad(found.poses[1]) == pytest.approx(np.pi / 2)
    assert found.poses[1, :3].tolist() == [4, 5, 6]


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(
    lambda q: np.linalg.norm(q) > 0.1))
def test_any_rotation_survives_kitti(tmp_path_factory, numbers):
    q = np.array(numbers) / np.linalg.norm(numbers)
    matrix = np.stack([se3.rotate(q, axis) for axis in np.eye(3)], axis=1)
    folder = tmp_path_factory.mktemp('kitti')
    (folder / 'poses.txt').write_text(' '.join(
        f'{x:.12f}' for x in np.column_stack([matrix, [1, 2, 3]]).ravel()))
    (folder / 'times.txt').write_text('0')
    found = read(folder / 'poses.txt', times=folder / 'times.txt').trajectory.poses[0]
    assert abs(found[3:] @ q) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(('rows', 'times', 'said'), [
    ('1 0 0 0 0 1 0 0 0 0 1\n', '0\n', 'line 1: 11 columns instead of the 12 of KITTI'),
    ('2 0 0 0 0 2 0 0 0 0 2 0\n', '0\n', 'line 1: the left 3x3 of the matrix is no rotation'),
    ('1 0 0 0 0 1 0 0 0 0 -1 0\n', '0\n', 'line 1: the left 3x3 of the matrix is no rotation'),
    ('1 0 0 0 0 1 0 0 0 0 1 0\n', '0\n1\n', 'times.txt has 2 rows, .*poses.txt 1'),
    ('1 0 0 0 0 1 0 0 0 0 1 0\n', '', 'poses.txt has 1 rows, the other file 0'),
    ('1 0 0 0 0 1 0 0 0 0 1 0\n', '0 1\n', 'times.txt, line 1: 2 columns instead of one time'),
    ('1 0 0 nan 0 1 0 0 0 0 1 0\n', '0\n', 'line 1: nan in a pose'),
])
def test_bad_kitti_is_refused(write, rows, times, said):
    poses = write(rows, 'poses.txt')
    with pytest.raises(BagError, match=said):
        read(poses, layout=TrajectoryFormat.KITTI, times=write(times, 'times.txt'))


def test_csv_columns_have_names_and_units(write):
    found = read(write('\ufeffY; X; yaw_deg; stamp_ms; note\n2; 1; 90; 1500.25; ok\n', 'a.csv'))
    assert found.trajectory.stamps_ns.tolist() == [1_500_250_000]
    assert found.trajectory.poses[0, :3].tolist() == [1, 2, 0]
    assert se3.yaw_rad(found.trajectory.poses[0]) == pytest.approx(np.pi / 2)
    assert found.remarks == ()
    named = read(write('stamp_s,x_m,y_m,z_m,yaw_rad\n1,2,3,4,0\n', 'c.csv'))
    assert named.trajectory.poses[0].tolist() == [2, 3, 4, 0, 0, 0, 1]
    turned = read(write('# stamp_ns,x,y,z,qx,qy,qz,qw\n# so\n7,1,2,3,0,0,0.6,0.8\n', 'b.csv'))
    assert turned.trajectory.stamps_ns.tolist() == [7]
    assert turned.trajectory.poses[0].tolist() == [1, 2, 3, 0, 0, 0.6, 0.8]


@pytest.mark.parametrize(('text', 'said'), [
    ('stamp_s,latitude,longitude,yaw\n', 'latitude and longitude, which are degrees on a globe'),
    ('stamp,x,y,yaw\n0,0,0,0\n', 'it needs stamp_s'),
    ('stamp_s,stamp_ns,x,y,yaw\n', 'each once'),
    ('stamp_s,x,y\n', 'it needs stamp_s'),
    ('stamp_s,x,x_m,y,yaw\n', 'more than once'),
    ('stamp_s,x,y,qx,qy,qw\n', 'it needs stamp_s'),
    ('stamp_s,x,y,yaw,yaw_deg\n', 'each once'),
    ('stamp_s,x,x,y,yaw\n', "column 'x' more than once"),
    ('stamp_s,x,y,yaw\n0,0,0\n', 'line 2: 3 columns, but the header has 4'),
    ('stamp_s,x,y,yaw\n\n0,0,zero,0\n', "line 3: 'zero' is no number"),
    ('stamp_s,x,y,yaw\n0,0,0,90\n', 'yaw of 90.0, more than a turn in radians: name the column '
                                    'yaw_deg'),
    ('stamp_s,x,y,yaw\n', 'has no poses'),
    ('stamp_s,x,y,yaw\nsoon,0,0,0\n', "line 2: 'soon' is no time"),
    ('stamp_s,x,y,yaw\n1700000000000,0,0,0\n', 'seems to be in milliseconds: .*stamp_ms'),
])
def test_bad_csv_is_refused(write, text, said):
    with pytest.raises(BagError, match=said):
        read(write(text, 'truth.csv'))


def test_radians_that_look_like_degrees_are_remarked(write):
    found = read(write('stamp_s,x,y,yaw_rad\n0,0,0,90\n', 'truth.csv'))
    assert 'is it in degrees?' in found.remarks[0]


@pytest.mark.parametrize(('text', 'said'), [
    ('', 'is empty'),
    ('# nothing\n', 'has no poses'),
    ('0 0 0 0 0 0 1\n', 'line 1: 7 columns instead of the 8 of TUM'),
    ('0,0,0,0,0,0,0,1\n', 'commas needs a header'),
    ('0 0 0 0 0 0 0 1\n1 0 nan 0 0 0 0 1\n', 'line 2: nan in a pose'),
    ('nan 0 0 0 0 0 0 1\n', "line 1: 'nan' is no time"),
    ('0 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 2\n', 'line 2: the quaternion has the length 2.0000'),
    ('0 0 0 0 0 0 0 0\n', 'line 1: the quaternion has the length 0.0000'),
    ('2 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n', 'line 2: the stamp falls, from 2.000 s to 1.000 s'),
    ('1 0 0 0 0 0 0 1\n1 5 0 0 0 0 0 1\n', 'line 2: another pose at the stamp'),
    ('1700000000123456789 0 0 0 0 0 0 1\n', 'seems to be in nanoseconds: give --truth-unit ns'),
    ('1700000000123456 0 0 0 0 0 0 1\n', 'seems to be in microseconds: give --truth-unit us'),
    (b'\xff\xfe\x00', 'is no text'),
])
def test_bad_tum_is_refused(write, text, said):
    with pytest.raises(BagError, match=said):
        read(write(text))


def test_a_pose_twice_is_left_out_with_a_remark(write):
    found = read(write('1 5 0 0 0 0 0.6 0.8\n1 5 0 0 0 0 -0.6 -0.8\n2 6 0 0 0 0 0 1\n'))
    assert found.trajectory.stamps_ns.tolist() == [10**9, 2 * 10**9]
    assert '1 poses that repeat' in found.remarks[0]


def test_a_missing_file_and_an_unknown_unit_are_refused(tmp_path, write):
    with pytest.raises(BagError, match='cannot be read'):
        read(tmp_path / 'none.tum')
    with pytest.raises(BagError, match='no unit of time'):
        read(write(TUM), unit='minutes')


def test_an_offset_is_added(write):
    assert read(write('1 0 0 0 0 0 0 1'), offset_ns=5).trajectory.stamps_ns.tolist() == [10**9 + 5]
    with pytest.raises(BagError, match='beyond the year 2262'):
        read(write('1 0 0 0 0 0 0 1'), offset_ns=2**63)


def trajectory(*stamps_ns):
    return Trajectory(np.array(stamps_ns, np.int64), np.tile(se3.IDENTITY, (len(stamps_ns), 1)),
                      'map')


EPOCH = 1_700_000_000 * 10**9
RUN = np.array([EPOCH, EPOCH + 60 * 10**9])


@pytest.mark.parametrize(('first', 'last', 'said'), [
    # 1,700,000,000 s read as nanoseconds, and 1,700,000,000,000 ms / 1000 read as seconds.
    (EPOCH // 10**9, EPOCH // 10**9 + 60, 'seems to be in seconds, and was read as nanoseconds'),
    (EPOCH // 10**3, EPOCH // 10**3 + 60 * 10**6,
     'seems to be in seconds, and was read as milliseconds'),
    (0, 60 * 10**9, r'counts from its own beginning: .*--truth-offset-s 1700000000.000'),
    (EPOCH + 10**12, EPOCH + 2 * 10**12, 'give the truth of this run'),
    (EPOCH - 2 * 10**12, EPOCH - 10**12, 'give the truth of this run'),
])
def test_spans_that_do_not_overlap_are_named(first, last, said):
    with pytest.raises(BagError, match=r'truth.tum goes from .* s to .* s, bag from 1700000000.000'
                                       r' s to 1700000060.000 s; .*' + said):
        refuse_apart(trajectory(first, last), RUN, 'truth.tum', 'bag')


def test_milliseconds_of_a_short_clock_are_found_out():
    run = np.array([10**6 * 10**9, (10**6 + 60) * 10**9])
    with pytest.raises(BagError, match='seems to be in milliseconds'):
        refuse_apart(trajectory(10**9 * 10**9, (10**9 + 60_000) * 10**9), run, 'truth', 'bag')


def test_spans_that_overlap_pass():
    refuse_apart(trajectory(EPOCH + 10, EPOCH + 10**12), RUN, 'truth', 'bag')
    with pytest.raises(BagError, match='bag has no images'):
        refuse_apart(trajectory(1, 2), RUN[:0], 'truth', 'bag')


def test_a_single_pose_is_no_way():
    with pytest.raises(BagError, match='truth.tum has a single pose, at .* no image of bag'):
        refuse_apart(trajectory(5), RUN, 'truth.tum', 'bag')
