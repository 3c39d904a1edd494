# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import os

import cv2
import numpy as np
import pytest

from vpr_ros.datasets.pictures import PictureFiles
from vpr_ros.datasets.run import LazyImages
from vpr_ros.errors import VprError
from vpr_ros.tools import set_descriptions
from vpr_ros.tools.set_descriptions import default_cache, describe_images, image_digest


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(set_descriptions, 'BLOCK', 4)
    monkeypatch.setattr(set_descriptions, 'BATCH', 3)


@pytest.fixture
def pictures(tmp_path, toy_picture):
    files = []
    for i in range(10):
        files.append(tmp_path / 'images' / f'ü {i}.png')
        files[-1].parent.mkdir(exist_ok=True)
        cv2_bytes = cv2.imencode('.png', toy_picture(float(i))[..., ::-1])[1].tobytes()
        files[-1].write_bytes(cv2_bytes)
    return PictureFiles(files)


def test_what_was_described_is_not_described_again(tmp_path, pictures, describer):
    first = describe_images(pictures, describer, tmp_path / 'cache')
    assert first.fresh == 10
    again = describe_images(pictures, describer, tmp_path / 'cache')
    assert again.fresh == 0
    assert np.array_equal(first.descriptors, again.descriptors)
    assert np.array_equal(first.descriptors, describer.describe(list(pictures)))
    assert again.ms_per_image == pytest.approx(first.ms_per_image, rel=0.05)
    assert describe_images(pictures, describer, None).fresh == 10


class LazyFiles(PictureFiles):
    """Stops at one of its images, as a user may."""

    def __init__(self, files, stop):
        super().__init__(files)
        self._stop = stop

    def _read(self, index):
        if index == self._stop:
            raise KeyboardInterrupt
        return super()._read(index)


def test_blocks_that_are_done_are_kept_when_a_run_is_stopped(tmp_path, pictures, describer):
    with pytest.raises(KeyboardInterrupt):
        describe_images(LazyFiles(pictures.files, 9), describer, tmp_path / 'cache')
    assert describe_images(pictures, describer, tmp_path / 'cache').fresh == 2


@pytest.mark.parametrize('damage', [lambda data: data[:-8], lambda data: b'\x01' + data[1:]])
def test_a_damaged_block_is_described_again(tmp_path, pictures, describer, damage):
    whole = describe_images(pictures, describer, tmp_path / 'cache')
    block = next((tmp_path / 'cache').rglob('0000004.f32'))
    block.write_bytes(damage(block.read_bytes()))
    again = describe_images(pictures, describer, tmp_path / 'cache')
    assert again.fresh == 4
    assert np.array_equal(again.descriptors, whole.descriptors)


def test_another_model_or_a_changed_file_is_another_description(tmp_path, pictures, describer):
    describe_images(pictures, describer, tmp_path / 'cache')
    other = type(describer)(replace(describer.card, digest='another'))
    assert describe_images(pictures, other, tmp_path / 'cache').fresh == 10
    other = type(describer)(describer.card)
    other.engine, other.precision = 'openvino', 'int8'
    assert describe_images(pictures, other, tmp_path / 'cache').fresh == 10
    os.utime(pictures.files[0], ns=(1, 1))
    assert describe_images(pictures, describer, tmp_path / 'cache').fresh == 10


def test_images_without_files_are_told_apart_by_their_pixels(toy_picture):
    def made(*numbers):
        return LazyImages(len(numbers), lambda i: toy_picture(numbers[i]))
    assert image_digest(made(1.0, 2.0)) == image_digest(made(1.0, 2.0))
    assert image_digest(made(1.0, 2.0)) != image_digest(made(2.0, 1.0))


def test_no_images_and_no_place_for_the_cache(tmp_path, pictures, describer):
    with pytest.raises(VprError, match='there are no images to describe'):
        describe_images([], describer, None)
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(VprError, match='name another folder with --cache, or none with'):
        describe_images(pictures, describer, tmp_path / 'file')


def test_the_cache_lies_where_caches_lie(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_cache() == tmp_path / 'vpr_ros' / 'set_descriptions'
