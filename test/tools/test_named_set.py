# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.errors import VprError
from vpr_ros.tools.named_set import NamedSet


@pytest.mark.parametrize(('text', 'layout', 'root', 'options'), [
    ('pitts30k=x', 'pitts30k', 'x', {}),
    ('msls:val=/data/a=b', 'msls', '/data/a=b', {'split': 'val'}),
    ('by-poses=/data/yard, east/,tolerance-m=2.5,tolerance-deg=40', 'by-poses',
     '/data/yard, east', {'tolerance_m': 2.5, 'tolerance_deg': 40.0}),
    ('nordland=n,map-name=summer,query-name=winter,split=test,tolerance-frames=10', 'nordland',
     'n', {'map_name': 'summer', 'query_name': 'winter', 'split': 'test', 'tolerance_frames': 10}),
    ('gsv-cities=g,city=Osaka,city=Rome', 'gsv-cities', 'g', {'cities': ('Osaka', 'Rome')})])
def test_a_text_names_a_set(text, layout, root, options):
    assert NamedSet.parse(text) == NamedSet(layout, Path(root), LayoutOptions(**options))


@pytest.mark.parametrize('text', ['', 'pitts30k', '=/data', 'pitts30k=', 'world', ':val=/data'])
def test_what_names_no_set_is_refused(text):
    with pytest.raises(VprError, match='names no set; write layout=folder, such as pitts30k='):
        NamedSet.parse(text)


@pytest.mark.parametrize(('more', 'complaint'), [
    ('tolerence-m=2', "no set takes 'tolerence-m'; there are split, map-name, .*tolerance-m"),
    ('tolerance-m=far', "tolerance-m must be a number, not 'far'"),
    ('tolerance-frames=1.5', "tolerance-frames must be a number, not '1.5'")])
def test_what_cannot_be_said_of_a_set_is_refused(more, complaint):
    with pytest.raises(VprError, match=complaint):
        NamedSet.parse(f'by-poses=/data,{more}')


def test_what_must_be_said_is_asked_for_as_it_is_written(tmp_path):
    named = NamedSet.parse(f'by-poses={tmp_path}')
    for read in (named.pair, named.places):
        with pytest.raises(VprError, match=rf'write by-poses={tmp_path},tolerance-m=\.\.\.'):
            read()
    with pytest.raises(VprError, match=r',map-name=\.\.\.,query-name=\.\.\.'):
        NamedSet.parse(f'nordland={tmp_path}').pair()
