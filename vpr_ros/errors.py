# SPDX-License-Identifier: Apache-2.0
"""The one family of failures; each message says what is wrong and what to do about it."""


class VprError(Exception):
    """Something the user can act on; `tools/` prints it as one line and exits with 2."""


class FrameError(VprError):
    """An image message that cannot become a frame."""


class MapError(VprError):
    """A map that cannot be built, read or used with this model or camera."""


class ModelError(VprError):
    """A network that cannot be read, built or run."""


class BagError(VprError):
    """A recording that cannot be read, or does not hold what was asked of it."""


class DatasetError(VprError):
    """Images with ground truth that are missing or contradict themselves."""
