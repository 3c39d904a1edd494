# SPDX-License-Identifier: Apache-2.0
"""GSV-Cities (Ali-bey, Chaib-draa, Giguere; Neurocomputing 2022): places to learn from.

One CSV a city says what the images are called:
city_place_year_month_bearing_latitude_longitude_panoid.jpg, numbers filled up with zeros.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import PictureFiles
from vpr_ros.datasets.places import joined, Places
from vpr_ros.datasets.tables import read_table, Table
from vpr_ros.datasets.utm import compass_to_rad, utm_m, zone_of
from vpr_ros.errors import DatasetError

COLUMNS = ('place_id', 'year', 'month', 'northdeg', 'city_id', 'lat', 'lon', 'panoid')
LEAST_IMAGES = 4
_DIGITS = {'place_id': 7, 'year': 4, 'month': 2, 'northdeg': 3}


def open_gsv_cities(root: Path, options: LayoutOptions) -> Places:
    """Return the places of some cities (left out: all) that have at least LEAST_IMAGES images."""
    return gsv_cities(root, options.cities)


def gsv_cities(root: Path, cities: tuple[str, ...] | None = None,
               least_images: int = LEAST_IMAGES) -> Places:
    """Return the places of `cities` with at least `least_images` images each.

    Raises DatasetError for an unknown city, a CSV of another kind, a row without its image.
    """
    known = {file.stem: file for file in sorted((root / 'Dataframes').glob('*.csv'))}
    if not known:
        raise DatasetError(f'{root / "Dataframes"} holds no CSV of a city')
    chosen = tuple(known) if cities is None else cities
    if unknown := [city for city in chosen if city not in known]:
        raise DatasetError(f'there is no {root / "Dataframes" / unknown[0]}.csv; the cities there '
                           f'are {", ".join(known)}')
    sets = [_city(root, city, read_table(known[city], COLUMNS), least_images) for city in chosen]
    return joined('gsv-cities', sets)


def _city(root: Path, city: str, table: Table, least_images: int) -> Places:
    counts = Counter(table.text('place_id'))
    kept = np.flatnonzero([counts[place] >= least_images for place in table.text('place_id')])
    if not len(kept):
        most = max(counts.values(), default=0)
        raise DatasetError(f'no place of {city} has {least_images} images; the most is {most}')
    folder = root / 'Images' / city
    if not folder.is_dir():   # PRS.csv, Images/Paris
        folder = root / 'Images' / table.text('city_id')[0]
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not there')
    there = {file.name.lower(): file for file in folder.iterdir()}
    columns = {name: table.text(name) for name in COLUMNS}
    files = []
    for row in kept:
        name = image_name({key: values[row] for key, values in columns.items()})
        file = there.get(name.lower())   # the endings are written .jpg and .JPG
        if file is None:
            raise DatasetError(f'{folder / name} is not there, but {city}.csv names it')
        files.append(file)
    latitude, longitude = table.numbers('lat')[kept], table.numbers('lon')[kept]
    _, place_of = np.unique(np.array(columns['place_id'])[kept], return_inverse=True)
    return Places(
        f'gsv-cities {city}', PictureFiles(files), place_of,
        utm_m(latitude, longitude, zone_of(float(np.median(longitude)))),
        compass_to_rad(table.numbers('northdeg')[kept]),
        f'GSV-Cities, its own places, those with at least {least_images} images')


def image_name(row: dict[str, str]) -> str:
    """Return the file name of a row: its fields as they are written, numbers filled with zeros."""
    fields = [row[name].zfill(_DIGITS.get(name, 0)) for name in (
        'city_id', 'place_id', 'year', 'month', 'northdeg', 'lat', 'lon', 'panoid')]
    return '_'.join(fields) + '.jpg'
