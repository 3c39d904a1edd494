# SPDX-License-Identifier: Apache-2.0
"""What the probabilities of a map are worth under the settings of now, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap

_ABSENT = object()


@dataclass(frozen=True)
class Promise:
    """The calibration stored with a map, if any, and whether it holds for `config`."""

    stored: Calibration | None
    holds: bool
    config: LocalizerConfig

    @classmethod
    def of(cls, localizer: Localizer, place_map: PlaceMap, config: LocalizerConfig) -> Promise:
        """Return what a localizer promises, which has that map and those settings."""
        return cls(place_map.calibration, localizer.calibration is not None, config)

    @property
    def threshold(self) -> float:
        """The least probability of an accepted pose."""
        calibration = self.stored if self.stored is not None and self.holds else Calibration()
        return self.config.accept_probability or calibration.threshold

    @property
    def differing(self) -> tuple[str, ...]:
        """The settings by which now differs from the calibration, each with both values."""
        if self.stored is None:
            return ()
        then, now = self.stored.settings, self.config.settings()
        return tuple(f'{name} (calibrated at {then.get(name, "nothing")}, now '
                     f'{now.get(name, "nothing")})' for name in sorted({*then, *now})
                     if then.get(name, _ABSENT) != now.get(name, _ABSENT))

    @property
    def sentence(self) -> str:
        """What a log says."""
        if self.stored is None:
            return (f'the map is not calibrated, so probabilities are a guess: run vpr calibrate; '
                    f'until then a pose has to be {self.threshold:.3g} probable')
        if not self.holds:
            return ('the map was calibrated for other settings, so probabilities are a guess: '
                    f'{", ".join(self.differing)}; set these back, or run vpr calibrate again')
        if self.config.accept_probability:
            return (f'accept_probability {self.threshold:.3g} overrules the threshold '
                    f'{self.stored.threshold:.3g} that the map was calibrated for, and the '
                    f'promised precision of {self.stored.precision:g} with it; 0 gives it back')
        return (f'the map is calibrated for a precision of {self.stored.precision:g}: a pose has '
                f'to be {self.threshold:.3g} probable; measured on {self.stored.source}')

    def values(self) -> Mapping[str, object]:
        """Return what stands beside the sentence in `/diagnostics`."""
        values: dict[str, object] = {
            'calibrated': 'no' if self.stored is None else 'yes' if self.holds
            else 'for other settings',
            'threshold': f'{self.threshold:.4f}',
            'threshold from': 'accept_probability' if self.config.accept_probability
            else 'the calibration' if self.holds else 'the default'}
        if self.stored is None:
            return values
        return {**values, 'precision promised': self.stored.precision,
                'measured on': self.stored.source,
                'frames accepted': self.stored.accepted, 'of them wrong': self.stored.wrong,
                'coverage': f'{self.stored.coverage:.3f}',
                'calibration error': f'{self.stored.reliability.error:.3f}',
                'other settings': ', '.join(self.differing) or 'none'}
