# SPDX-License-Identifier: Apache-2.0
"""A model on disk: card, weights and ONNX graph in one folder, sealed by digests."""

from __future__ import annotations

import json
from pathlib import Path

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import broken_seal, file_digest
from vpr_ros.core.types import Describer
from vpr_ros.errors import ModelError

CARD, WEIGHTS, GRAPH, MANIFEST = 'card.json', 'weights.safetensors', 'model.onnx', 'manifest.json'
_REMEDY = 'export or copy the model again'


def load_describer(folder: Path | None, threads: int = 0) -> Describer:
    """Return the describer of a model folder, run by ONNX Runtime; torch is not needed.

    None stands for the default model.  `threads` 0 leaves the number to the engine.
    Raises ModelError when the folder is absent, incomplete, damaged, or its graph cannot run.
    """
    from vpr_ros.nets.onnx_describer import OnnxDescriber  # the engine takes a while to import
    folder = default_model_folder() if folder is None else folder
    card = read_card(folder)
    return OnnxDescriber(folder / GRAPH, card, threads)


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder after holding every file against its digest.

    Raises ModelError when the folder is absent, incomplete or damaged.
    """
    if not folder.is_dir():
        raise ModelError(f'there is no model folder {folder}; check the path, or leave the model '
                         'out to use the default one')
    for name in (CARD, WEIGHTS, GRAPH, MANIFEST):
        if not (folder / name).is_file():
            raise ModelError(f'{folder} holds no {name}; a model folder holds {CARD}, {WEIGHTS}, '
                             f'{GRAPH} and {MANIFEST}, as vpr model import writes it')
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except ValueError as error:
        raise ModelError(f'{folder / MANIFEST} is damaged; {_REMEDY}') from error
    if not isinstance(manifest, dict):
        raise ModelError(f'{folder / MANIFEST} is damaged; {_REMEDY}')
    if complaint := broken_seal(manifest, folder, MANIFEST):
        raise ModelError(f'{complaint}; {_REMEDY}')
    if unsealed := {CARD, WEIGHTS, GRAPH} - set(manifest['files']):
        raise ModelError(f'{folder / MANIFEST} does not seal {min(unsealed)}; {_REMEDY}')
    card = ModelCard.from_json((folder / CARD).read_text(encoding='utf-8'), str(folder / CARD))
    if card.digest != file_digest(folder / WEIGHTS):
        raise ModelError(f'{folder / CARD} is not the card of {WEIGHTS} beside it; {_REMEDY}')
    return card


def default_model_folder() -> Path:
    """Return the folder of the model that ships with the package; raises ModelError without."""
    folder = Path(__file__).with_name('default_model')
    if not (folder / CARD).is_file():
        raise ModelError('this installation holds no default model; install vpr_ros again, or '
                         'name a model folder')
    return folder
