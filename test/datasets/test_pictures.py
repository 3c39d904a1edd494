# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.datasets.pictures import decode, find_pictures, natural, number_of, PictureFiles
from vpr_ros.datasets.tables import read_table
from vpr_ros.errors import DatasetError


def test_pictures_come_in_the_order_of_their_numbers_whatever_their_names(tmp_path, picture):
    for name in ('img 10.jpg', 'img 9.JPG', '写真 1.png', '.hidden.jpg', 'deep/img 1.jpg'):
        picture(tmp_path / name)
    (tmp_path / 'poses.csv').write_text('no picture')
    assert [file.name for file in find_pictures(tmp_path)] == ['img 9.JPG', 'img 10.jpg',
                                                               '写真 1.png']
    assert len(find_pictures(tmp_path, deep=True)) == 4


def test_pictures_are_read_when_asked_for_in_rgb(tmp_path, picture):
    files = [picture(tmp_path / f'{value}.png', value) for value in (7, 200)]
    images = PictureFiles(files)
    files.append(tmp_path / 'late.png')
    assert [int(image[0, 0, 0]) for image in images] == [7, 200]
    assert images[-1].shape == (12, 16, 3)
    assert images.files == tuple(files[:2])


@pytest.mark.parametrize('content', [b'', b'\xff\xd8\xff not a picture'])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(DatasetError, match=r'a\.jpg is not a picture that can be decoded'):
        decode(tmp_path / 'a.jpg')
    with pytest.raises(DatasetError, match=r'b\.jpg cannot be read'):
        decode(tmp_path / 'b.jpg')


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='holds no pictures'):
        find_pictures(tmp_path)
    with pytest.raises(DatasetError, match='not there'):
        find_pictures(tmp_path / 'no')


@given(st.lists(st.integers(0, 10 ** 6), unique=True, max_size=20))
def test_numbers_in_names_are_numbers(numbers):
    names = [f'frame{number}x' for number in numbers]
    assert sorted(names, key=natural) == [f'frame{number}x' for number in sorted(numbers)]


def test_the_number_of_a_frame_is_the_last_one(tmp_path):
    assert number_of(tmp_path / 'v2_images-00123.png') == 123
    with pytest.raises(DatasetError, match='no frame number'):
        number_of(tmp_path / 'summer.png')


def table(tmp_path, text, columns=('a', 'b')):
    (tmp_path / 't.csv').write_text(text, encoding='utf-8')
    return read_table(tmp_path / 't.csv', columns)


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path):
    found = table(tmp_path, '\ufeff,b, a,c\n0, 1.5,True,x\n\n1,-2,false,y\n')
    assert found.numbers('b').tolist() == [1.5, -2.0]
    assert found.flags('a').tolist() == [True, False]
    assert found.text('c') == ['x', 'y']
    assert len(found) == 2


@pytest.mark.parametrize(('text', 'said'), [
    ('', 'is empty; expected a header with a, b'),
    ('a,c\n1,2\n', "has no column b; its header is 'a,c', expected at least 'a,b'"),
    ('a,b\n1\n', 'line 2: 1 fields, but the header has 2'),
])
def test_a_table_of_another_kind_is_refused(tmp_path, text, said):
    with pytest.raises(DatasetError, match=said):
        table(tmp_path, text)


def test_wrong_fields_are_named_with_their_line(tmp_path):
    found = table(tmp_path, 'a,b\n1,nan\nmaybe,2\n')
    with pytest.raises(DatasetError, match="line 2: b is 'nan', which is not a finite number"):
        found.numbers('b')
    with pytest.raises(DatasetError, match="line 3: a is 'maybe'"):
        found.flags('a')


def test_a_table_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='cannot be read as a CSV file'):
        read_table(tmp_path / 'no.csv', ('a',))
    (tmp_path / 'b.csv').write_bytes(b'\xff\xfe\x00a')
    with pytest.raises(DatasetError, match='cannot be read as a CSV file'):
        read_table(tmp_path / 'b.csv', ('a',))


def test_a_picture_keeps_its_pixels_where_exif_turns_it(tmp_path, picture):
    file = picture(tmp_path / 'a.jpg', size=(10, 20))
    # An EXIF block that says: turned by 90 degrees (orientation 6).
    exif = (b'Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01'
            b'\x00\x06\x00\x00\x00\x00\x00\x00')
    data = file.read_bytes()
    file.write_bytes(data[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + data[2:])
    assert decode(file).shape == (10, 20, 3)
    assert np.ptp(decode(file)) <= 2
