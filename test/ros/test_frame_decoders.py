# SPDX-License-Identifier: Apache-2.0
import sys
from types import ModuleType

import numpy as np
import pytest

from vpr_ros.core.types import Frame
from vpr_ros.errors import FrameError, VprError
from vpr_ros.ros.decoders import frame_decoder

ENCODINGS = ['rgb8', 'bgr8', 'mono8', 'rgba8', 'bgra8']


def test_the_builtin_decoder_is_that_of_the_bags():
    assert frame_decoder('builtin') == Frame.from_message


def test_cv_bridge_that_cannot_be_imported_is_refused_with_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(VprError, match='cannot be imported here .* set image_decoder to builtin'):
        frame_decoder('cv_bridge')


def test_what_cv_bridge_raises_is_a_frame_error(monkeypatch, stage):
    class Broken:
        def imgmsg_to_cv2(self, message, encoding):
            raise RuntimeError('no such conversion')

    module = ModuleType('cv_bridge')
    module.CvBridge = Broken
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    with pytest.raises(FrameError, match='cv_bridge cannot decode the image .no such conversion'):
        frame_decoder('cv_bridge')(stage.raw(stage.view(1), 5), 'front')


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_both_decoders_agree(stage, encoding):
    pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    channels = {'mono8': 1, 'rgba8': 4, 'bgra8': 4}.get(encoding, 3)
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, channels), dtype=np.uint8)
    message = stage.raw(picture, 5, encoding)
    ours, theirs = (frame_decoder(name)(message, 'front') for name in ('builtin', 'cv_bridge'))
    assert (ours.stamp_ns, ours.camera) == (theirs.stamp_ns, theirs.camera)
    assert np.array_equal(ours.image, theirs.image)
