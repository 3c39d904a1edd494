# SPDX-License-Identifier: Apache-2.0
"""Where a map is, as parameters and `nav_msgs/LoadMap` name it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from vpr_ros.errors import MapError


def map_folder(url: str) -> Path:
    """Return the folder of a path or a file:// URL; `~` is the home directory.

    Raises MapError for other kinds of URL, and for a file of another computer.
    """
    parts = urlsplit(url)
    if not parts.scheme:
        return Path(url).expanduser()
    if parts.scheme != 'file' or parts.netloc not in ('', 'localhost'):
        raise MapError(f'{url} cannot be read from here; give the path of a map folder, '
                       'or file:///path')
    return Path(url2pathname(parts.path))
