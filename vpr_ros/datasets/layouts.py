# SPDX-License-Identifier: Apache-2.0
"""Every layout that can be read, by the name that the user types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vpr_ros.datasets import at_names, folder_pairs, msls, nordland, vpr_bench, vpr_tutorial
from vpr_ros.datasets.at_names import AtSplit
from vpr_ros.datasets.gsv_cities import open_gsv_cities
from vpr_ros.datasets.layout import Layout, LayoutOptions
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.sequences import PAIRS
from vpr_ros.errors import DatasetError

_DOWNLOADER = 'VPR-datasets-downloader (github.com/gmberton/VPR-datasets-downloader)'
_AT_NAME = '@UTM_east@UTM_north@...@.jpg'
_TOLERANCE = ('tolerance_m', 'tolerance_deg')


def _at_tree(root: str, splits: str = '{train,val,test}') -> str:
    return f"""
{root}/
  images/
    {splits}/
      database/  {_AT_NAME}
      queries/   {_AT_NAME}
"""


def _at_layout(name: str, what: str, split: str, source: str, remark: str = '',
               splits: str = '{train,val,test}') -> Layout:
    reader = AtSplit(name, split, remark)
    return Layout(name, what, _at_tree(name.removesuffix('-at'), splits), source, reader,
                  reader.places, ('split', *_TOLERANCE))


def _sequence(name: str, read: Callable[[Path], RunPair]) -> Layout:
    def pair(root: Path, options: LayoutOptions) -> RunPair:
        return read(root if (root / name).is_dir() else root.parent)
    return Layout(name, f'the real set {name} as the tests and benchmarks of vpr_ros use it',
                  f'{name}/        (or the folder that holds it; see its SOURCE.md)',
                  'the folder of sets of this project, see docs/datasets.md', pair)


_ALL = (
    Layout('gsv-cities', '530,000 street views of 62,000 places, to learn from', """
gsv-cities/
  Dataframes/
    London.csv  place_id,year,month,northdeg,city_id,lat,lon,panoid
    ...
  Images/
    London/     London_0000130_2018_04_015_51.4861_-0.0895151_6jFjb3wGyCkcBfq4k559ag.JPG
    ...
""", 'GSV-Cities (kaggle.com/datasets/amaralibey/gsv-cities)', None, open_gsv_cities, ('cities',)),
    _at_layout('pitts30k', 'street views of Pittsburgh; 25 m, split test unless said', 'test',
               'the authors of Pitts250k on request, sorted by format_pitts30k.py of '
               + _DOWNLOADER),
    _at_layout('pitts250k', 'the same, all of it; 25 m, split test unless said', 'test',
               'the authors of Pitts250k on request, sorted by format_pitts250k.py of '
               + _DOWNLOADER),
    Layout('msls', 'Mapillary Street-Level Sequences; split val (the published one, 740 queries '
           'with a positive) unless val-all; 25 m', """
msls/
  train_val/
    cph/
      database/  postprocessed.csv  raw.csv  subtask_index.csv  images/<key>.jpg
      query/     postprocessed.csv  raw.csv  subtask_index.csv  images/<key>.jpg
    sf/
    ...
""", 'mapillary.com/dataset/places (images_vol_*.zip, metadata.zip and patches in one folder)',
           msls.open_msls, msls.open_msls_places, ('split', 'cities', *_TOLERANCE)),
    _at_layout('msls-at', 'MSLS with positions in the names: all queries, so not comparable with '
               'msls; 25 m, split val unless said', 'val',
               f'mapillary.com/dataset/places, sorted by format_mapillary.py of {_DOWNLOADER}',
               'every query, also those that the published MSLS-val leaves out', '{train,val}'),
    Layout('nordland', 'a railway in four seasons; papers differ in split, way and tolerance', """
nordland/
  summer/   (any names of folders; frames may lie in folders below)
    images-00001.png
    ...
  winter/
    images-00001.png     the same number: the same place
    ...
""", 'the Nordland videos of NRK (nrkbeta.no), or their frames as the papers publish them',
           nordland.open_nordland, None, (),
           ('map_name', 'query_name', 'split', 'tolerance_frames')),
    _at_layout('nordland-at', 'Nordland as Patch-NetVLAD split it, summer the map, +-10 frames '
               '(25 m where frames are 2.38 m apart)', 'test', f'rsync, see {_DOWNLOADER}',
               'positions are made up so that 25 m are 10 frames', 'test'),
    Layout('at', 'any two folders with positions in the file names; 25 m unless said', f"""
any/
  database/  {_AT_NAME}      (another name: --map-name)
  queries/   {_AT_NAME}      (another name: --query-name)
""", f'{_DOWNLOADER}, or your own', at_names.open_at_pair, at_names.open_at_places,
           ('map_name', 'query_name', *_TOLERANCE)),
    Layout('by-order', 'two folders of pictures, the i-th of one is the i-th of the other', """
any/
  map/    0001.jpg 0002.jpg ...      (another name: --map-name)
  query/  0001.jpg 0002.jpg ...      (another name: --query-name)
""", 'your own pictures', folder_pairs.open_by_order, None, ('map_name', 'query_name'),
           ('tolerance_frames',)),
    Layout('by-lists', 'two folders of pictures and a list of which belong together', """
any/
  map/    a.jpg ...                  (another name: --map-name)
  query/  b.jpg ...                  (another name: --query-name)
  ground_truth.csv                   (another name: --truth)
      query,place
      b.jpg,a.jpg                    a row for each positive
""", 'your own pictures', folder_pairs.open_by_lists, None, ('map_name', 'query_name', 'truth')),
    Layout('by-poses', 'two folders of pictures with a pose each', """
any/
  map/    a.jpg ...  poses.csv       (another name: --map-name)
  query/  b.jpg ...  poses.csv       (another name: --query-name)
      name,x_m,y_m,yaw_deg           z_m and yaw_deg where known; both in one frame
      b.jpg,1.5,-20.25,90
""", 'your own pictures', folder_pairs.open_by_poses, folder_pairs.open_posed_places,
           ('map_name', 'query_name', 'tolerance_deg'), ('tolerance_m',)),
    Layout('vpr-bench', 'any set of VPR-Bench, by its lists', """
corridor/
  query/  0000000.jpg 0000001.jpg ...
  ref/    0000000.jpg 0000001.jpg ...
  ground_truth_new.npy      (or ground_truth.json: [[query, [place, ...]], ...])
""", 'VPR-Bench (github.com/MubarizZaffar/VPR-Bench)', vpr_bench.open_vpr_bench),
    Layout('vpr-tutorial', 'GardensPoint, StLucia or SFU of VPR_Tutorial, or alike', """
SFU/
  dry/    *.jpg             the map       (GardensPoint: day_right, StLucia: 100909_0845)
  jan/    *.jpg             the queries   (GardensPoint: night_right, StLucia: 180809_1545)
  GT.npz                    GThard and GTsoft, places by queries (GT.mat too; GardensPoint: none)
""", 'VPR_Tutorial (github.com/stschubert/VPR_Tutorial; tu-chemnitz.de/etit/proaut)',
           vpr_tutorial.open_vpr_tutorial, None, ('map_name', 'query_name', 'truth')),
    *(_sequence(name, read) for name, read in PAIRS.items()),
)

LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in _ALL}


def layout_named(name: str) -> Layout:
    """Return a layout; raises DatasetError for an unknown name, with those there are."""
    if name not in LAYOUTS:
        raise DatasetError(f'no layout is called {name!r}; there are {", ".join(LAYOUTS)}')
    return LAYOUTS[name]
