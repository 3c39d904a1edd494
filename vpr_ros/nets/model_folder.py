# SPDX-License-Identifier: Apache-2.0
"""A model on disk: card, weights and ONNX graph in one folder, sealed by digests.

A packed model (`.vprz`) is taken wherever a folder is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import broken_seal, seal
from vpr_ros.errors import ModelError
from vpr_ros.nets.opened_model import opened

if TYPE_CHECKING:
    from vpr_ros.nets.engine_describer import EngineDescriber

CARD, WEIGHTS, GRAPH, MANIFEST = 'card.json', 'weights.safetensors', 'model.onnx', 'manifest.json'
INT8_GRAPH = 'model.int8.onnx'                                # QDQ, where there is one
OPENVINO_INT8, OPENVINO_BIN = 'openvino_int8.xml', 'openvino_int8.bin'  # alike
_REMEDY = 'export or copy the model again'


def load_describer(folder: Path | None, threads: int = 0, engine: str = 'auto',
                   precision: str = 'auto') -> EngineDescriber:
    """Return the describer of a model folder; torch is not needed, unless it is asked for.

    A packed model is unpacked into memory, and gone from there once it is loaded.
    None stands for the default model.  `threads` 0 leaves the number to the engine.  `engine` and
    `precision` are among `engines.ENGINES` and `engines.PRECISIONS`; auto measures which is the
    fastest here, once, and never takes a precision that the card was not released with, nor a
    float one that gives other descriptors.  The describer says what runs as `engine`,
    `precision` and, in a line, `choice`.
    Raises ModelError when the folder is absent, incomplete, damaged, or its graph cannot run, and
    for an engine or precision that is unknown, not installed or not there.
    """
    from vpr_ros.nets.engine_choice import choose_describer  # pulls OpenCV in
    folder = default_model_folder() if folder is None else folder
    if not folder.is_file():
        return choose_describer(folder, read_card(folder), threads, engine, precision)
    from vpr_ros.nets.unpack import unpacked_privately
    private = unpacked_privately(folder)
    try:
        describer = choose_describer(private.path, read_card(private.path), threads, engine,
                                     precision)
    except BaseException:
        private.close()
        raise
    if describer.reads_later:
        finalize(describer, private.close)
    else:
        private.close()
    return describer


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder after holding every file against its digest.

    Raises ModelError when the folder is absent, incomplete or damaged.
    """
    folder = opened(folder)
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
    if card.digest != manifest['files'][WEIGHTS]:
        raise ModelError(f'{folder / CARD} is not the card of {WEIGHTS} beside it; {_REMEDY}')
    return card


def seal_model(folder: Path, card: ModelCard) -> None:
    """Write the card and the digests of all that is in a folder, in place of any before."""
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / CARD).write_text(card.to_json(), encoding='utf-8')
    (folder / MANIFEST).write_text(json.dumps(seal({}, folder), indent=2) + '\n')


def default_model_folder() -> Path:
    """Return the folder of the model that ships with the package; raises ModelError without."""
    folder = Path(__file__).with_name('default_model')
    if not (folder / CARD).is_file():
        raise ModelError('this installation holds no default model; install vpr_ros again, or '
                         'name a model folder')
    return folder
