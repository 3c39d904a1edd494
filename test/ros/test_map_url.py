# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vpr_ros.errors import MapError
from vpr_ros.ros.map_url import map_folder


@pytest.mark.parametrize(('url', 'folder'), [
    ('depot.map', Path('depot.map')),
    ('/maps/depot.map', Path('/maps/depot.map')),
    ('file:///maps/depot%20one.map', Path('/maps/depot one.map')),
    ('file://localhost/maps/depot.map', Path('/maps/depot.map')),
    ('~/depot.map', Path.home() / 'depot.map'),
])
def test_paths_and_file_urls_name_a_folder(url, folder):
    assert map_folder(url) == folder


@pytest.mark.parametrize('url', ['http://example.org/depot.map', 'file://robot/depot.map',
                                 'package://depot/maps'])
def test_what_is_not_here_is_refused(url):
    with pytest.raises(MapError, match='give the path of a map folder'):
        map_folder(url)
