# SPDX-License-Identifier: Apache-2.0
"""What a network is: enough to rebuild it, feed it, and know a descriptor's origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
import hashlib
import json
from typing import Any

from vpr_ros.errors import ModelError

SCHEMA = 1


class Resize(Enum):
    """How an image gets the network's input size; the value is what the card says."""

    AREA = 'area'          # cv2.INTER_AREA: averages what it shrinks, no aliasing
    HALVED_AREA = 'halved-area'  # 2x2 pixels averaged while that is not too small, then area
    BILINEAR = 'bilinear'  # cv2.INTER_LINEAR
    BICUBIC = 'bicubic'    # cv2.INTER_CUBIC
    # Wider where it shrinks, so without aliasing: as PIL, and torchvision with antialias=True
    SMOOTH_BILINEAR = 'smooth-bilinear'
    SMOOTH_BICUBIC = 'smooth-bicubic'


@dataclass(frozen=True)
class Preprocessing:
    """RGB uint8 image of any size -> float32 (3, height_px, width_px).

    Resized to exactly the input size (aspect ratio is not kept), then
    `(pixel / scale - mean) / std` per channel in RGB order.
    """

    height_px: int
    width_px: int
    resize: Resize = Resize.AREA
    scale: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if min(self.height_px, self.width_px) < 8:
            raise ModelError(f'input size {self.width_px}x{self.height_px} is below 8 pixels')
        if min(self.std) <= 0.0 or self.scale <= 0.0:
            raise ModelError('std and scale of the preprocessing must be positive')


@dataclass(frozen=True)
class ModelCard:
    """Architecture, channel widths, input, provenance.

    `widths` gives every parametrised layer's channels as `name: (in, out)`, under the names of
    the weights file, so that a pruned network rebuilds from its card alone.
    `digest` is the SHA-256 of the weights file: it is what a map remembers of its model.
    `queries_maps_of` are digests of other models whose descriptors this one was taught to give,
    so that it may ask the maps that they built (`core.querying`).
    """

    name: str
    backbone: str                      # torchvision's name: mobilenet_v2, resnet18, ...
    cut: str                           # last child that is kept: 'features.14', 'layer3', ...
    aggregator: str                    # 'gem', 'convap', 'grid', 'netvlad', 'mixvpr', 'boq'
    aggregator_args: Mapping[str, float]
    widths: Mapping[str, tuple[int, int]]
    dim: int
    preprocessing: Preprocessing
    digest: str
    precision: str = 'float32'
    parent: str | None = None          # digest of the model that this one was made from
    licence: str = 'unknown'
    notes: Mapping[str, Any] = field(default_factory=dict)  # how it was made, what it scores
    queries_maps_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ModelError(f'descriptor size {self.dim} is not positive')
        if not self.digest:
            raise ModelError('a model card needs the digest of its weights')
        others = self.queries_maps_of
        if not isinstance(others, tuple) or not all(isinstance(d, str) and d for d in others):
            raise ModelError(f'queries_maps_of must be digests of models, not {others!r}')

    def to_json(self) -> str:
        """Return the card as the text of `card.json`."""
        record = {'schema': SCHEMA, **asdict(self)}
        record['preprocessing']['resize'] = self.preprocessing.resize.value
        if not self.queries_maps_of:  # versions that do not know it can read the card as well
            del record['queries_maps_of']
        return json.dumps(record, indent=2) + '\n'

    @classmethod
    def from_json(cls, text: str, where: str) -> ModelCard:
        """Return the card written in `text`; `where` names it in errors.

        Raises ModelError for text that is no card, another schema, and missing or unknown keys.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ModelError(f'{where} is not JSON ({error}); export the model again') from error
        if not isinstance(record, dict) or record.pop('schema', None) != SCHEMA:
            raise ModelError(f'{where} is no model card of schema {SCHEMA}; '
                             'export the model again with this version')
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise ModelError(f'{where} has unknown keys: {", ".join(unknown)}')
        try:
            pre = dict(record['preprocessing'])
            pre['resize'] = Resize(pre['resize'])
            pre['mean'], pre['std'] = tuple(pre['mean']), tuple(pre['std'])
            record['preprocessing'] = Preprocessing(**pre)
            record['widths'] = {name: (int(i), int(o)) for name, (i, o) in
                                record['widths'].items()}
            record['queries_maps_of'] = _tuple(record.get('queries_maps_of', []))
            return cls(**record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f'{where} is incomplete or malformed ({error}); '
                             'export the model again') from error


def _tuple(items: Any) -> tuple[Any, ...]:
    if not isinstance(items, list):
        raise TypeError(f'queries_maps_of is {items!r}, no list')
    return tuple(items)


def weights_digest(weights: bytes) -> str:
    """Return the SHA-256 of the bytes of a weights file, as a card names its model."""
    return hashlib.sha256(weights).hexdigest()
