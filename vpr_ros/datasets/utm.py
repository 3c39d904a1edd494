# SPDX-License-Identifier: Apache-2.0
"""Latitude and longitude to metres on the UTM grid (WGS 84).

The transverse Mercator by Krueger's series to third order in the flattening n (Karney, Journal of
Geodesy 85, 2011, equations 35 and 36): within a millimeter inside a zone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RADIUS_M = 6378137.0
_FLATTENING = 1.0 / 298.257223563
_SCALE = 0.9996
_EAST_M = 500_000.0
_SOUTH_M = 10_000_000.0


def zone_of(longitude_deg: float) -> int:
    """Return the zone (1 to 60) of a longitude, without the exceptions around Norway."""
    return int((longitude_deg + 180.0) // 6.0) % 60 + 1


def utm_m(latitude_deg: Floats, longitude_deg: Floats, zone: int) -> Floats:
    """Return easting and northing (N, 2); 10,000 km is added where the first latitude is south.

    All in one zone and one hemisphere's count, so that distances hold across their borders.
    """
    n = _FLATTENING / (2.0 - _FLATTENING)
    radius_m = _RADIUS_M / (1.0 + n) * (1.0 + n**2 / 4.0 + n**4 / 64.0)
    series = (n / 2.0 - 2.0 * n**2 / 3.0 + 5.0 * n**3 / 16.0,
              13.0 * n**2 / 48.0 - 3.0 * n**3 / 5.0, 61.0 * n**3 / 240.0)
    latitude = np.radians(np.asarray(latitude_deg, np.float64))
    east = np.radians(np.asarray(longitude_deg, np.float64) - (6.0 * zone - 183.0))
    squeeze = 2.0 * np.sqrt(n) / (1.0 + n)
    sine = np.sin(latitude)
    t = np.sinh(np.arctanh(sine) - squeeze * np.arctanh(squeeze * sine))
    xi, eta = np.arctan2(t, np.cos(east)), np.arctanh(np.sin(east) / np.hypot(1.0, t))
    x, y = eta.copy(), xi.copy()
    for j, alpha in enumerate(series, 1):
        x += alpha * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
        y += alpha * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
    south_m = _SOUTH_M if len(latitude) and latitude[0] < 0.0 else 0.0
    return np.stack([_EAST_M + _SCALE * radius_m * x, south_m + _SCALE * radius_m * y], axis=1)


def compass_to_rad(bearing_deg: Floats) -> Floats:
    """Return headings counter-clockwise from east, of bearings clockwise from north."""
    turned: Floats = np.radians(90.0 - np.asarray(bearing_deg, np.float64))
    wrapped: Floats = np.arctan2(np.sin(turned), np.cos(turned))
    return wrapped
