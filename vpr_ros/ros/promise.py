# SPDX-License-Identifier: Apache-2.0
"""What the probabilities of a map are worth under the settings of now, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.localizer import Localizer
from vpr_ros.core.place_map import PlaceMap


@dataclass(frozen=True)
class Promise:
    """The calibration stored with a map, or None, and what becomes of it.

    `unlike` says which settings are others than those it was measured with. A pose has to be as
    probable as `threshold`, which is `chosen` when accept_probability overrules the calibration.
    """

    stored: Calibration | None
    unlike: str
    threshold: float
    chosen: bool

    @classmethod
    def of(cls, localizer: Localizer, place_map: PlaceMap, accept_probability: float) -> Promise:
        """Return what a localizer with that map and that knob promises."""
        return cls(place_map.calibration, localizer.unlike_calibration, localizer.threshold,
                   accept_probability > 0.0)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        needed = f'a pose has to be {self.threshold:.3g} probable'
        if self.stored is None:
            return ('the map is not calibrated, so probabilities are a guess: run vpr calibrate; '
                    f'until then {needed}')
        if self.unlike:
            return ('the map was calibrated for other settings, so probabilities are a guess: '
                    f'{self.unlike}; set that back, or run vpr calibrate again; until then '
                    f'{needed}')
        if self.chosen:
            return (f'accept_probability is set, so {needed}, whatever the map was calibrated '
                    f'for ({self.stored.threshold:.3g}, for a precision of '
                    f'{self.stored.precision:g}); 0.0 gives that back')
        return (f'the map is calibrated for a precision of {self.stored.precision:g}: {needed}; '
                f'measured on {self.stored.source}')

    def sentence_with(self, odometry: bool) -> str:
        """Return the sentence for while odometry flows, or does not."""
        stored = self.stored
        if stored is None or self.unlike or stored.odometry is odometry:
            return self.sentence
        there, here = ('with', 'none comes') if stored.odometry else ('without', 'there is some')
        return f'{self.sentence}; but that was {there} odometry, and {here} now'

    def values(self) -> Mapping[str, object]:
        """Return what stands beside the sentence in `/diagnostics`."""
        stored = self.stored
        values: dict[str, object] = {
            'calibrated': 'no' if stored is None else 'for other settings' if self.unlike
            else 'yes',
            'threshold': f'{self.threshold:.4f}',
            'threshold from': 'accept_probability' if self.chosen
            else 'the default' if stored is None or self.unlike else 'the calibration'}
        if stored is None:
            return values
        return {**values,
                'other settings': self.unlike or 'none',
                'precision promised': f'{stored.precision:g}',
                'measured on': stored.source,
                'measured with odometry': 'yes' if stored.odometry else 'no',
                'accepted there': stored.accepted, 'of them wrong': stored.wrong,
                'coverage there': f'{stored.coverage:.3f}',
                'calibration error there': f'{stored.reliability.error:.3f}'}
