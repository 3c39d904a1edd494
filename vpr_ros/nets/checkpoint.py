# SPDX-License-Identifier: Apache-2.0
"""Tensors out of files that others made; nothing in such a file is ever run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import pickletools
from typing import Any, BinaryIO
import warnings
import zipfile

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vpr_ros.errors import ModelError

State = dict[str, Tensor]

_WRAPPERS = ('state_dict', 'model_state_dict')      # Lightning; training scripts
_TRAINING_ONLY = ('loss_fn.', 'loss_function.', 'miner.', 'ms_loss.', 'ms_miner.')
_FOLDER = 0x10
_REMEDY = 'save it again with torch.save(model.state_dict(), ...)'
# What a pickle of tensors, and of numpy numbers beside them, names; all else would be code.
_PLAIN_MODULES = {'collections', 'torch', 'torch._utils'}
_NUMPY: list[Any] = [np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in 'bhilBHILefd?'}]


def read_checkpoint(path: Path) -> State:
    """Return the named tensors of a .pth, .pt, .ckpt or .safetensors file.

    Checkpoints of Lightning (`state_dict`) and of training scripts (`model_state_dict`) are
    unwrapped; the prefixes of DataParallel (`module.`) and of torch.compile (`_orig_mod.`) and
    weights of losses and miners are left out.
    Raises ModelError for a file that is absent, damaged, no checkpoint, or holds code.
    """
    if not path.is_file():
        raise ModelError(f'there is no file {path}; check the path')
    if path.suffix == '.safetensors':
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise ModelError(f'{path} is damaged ({error}); get it again') from error
    content = _load(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        raise ModelError(f'{path} is no state dict (names to tensors); {_REMEDY}')
    parallel = all(key.startswith('module.') for key in content)
    plain = {key.removeprefix('module.' if parallel else '').replace('_orig_mod.', ''): value
             for key, value in content.items()}
    return {key: value for key, value in plain.items() if not key.startswith(_TRAINING_ONLY)}


def _load(path: Path) -> Any:
    """Return what torch reads from a file without running anything in it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch skips checksums, and takes a record marked as a folder for an empty one
                folders = (info.filename for info in archive.infolist()
                           if info.external_attr & _FOLDER)
                if damaged := archive.testzip() or next(folders, None):
                    raise ModelError(f'{path} is damaged ({damaged}); get it again')
        with torch.serialization.safe_globals([*_NUMPY, *_numpy_makers()]), \
                warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pickle protocols; what matters is raised
            return torch.load(path, map_location='cpu', weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds on damaged files
        if code := sorted(set(_code_in(path))):
            raise ModelError(
                f'{path} cannot be read as plain tensors: it holds code ({", ".join(code[:3])}) '
                f'that loading would run, and that is refused; where it was trained, '
                f'{_REMEDY}') from error
        with path.open('rb') as stream:
            page = stream.read(256).lstrip().lower().startswith((b'<!doctype', b'<html'))
        reason = ('it is a web page: the download did not reach the file' if page else
                  'it is cut short, or no PyTorch file')
        raise ModelError(f'{path} cannot be read as plain tensors ({reason}); '
                         'get it again') from error


def _numpy_makers() -> list[Any]:
    """Return what rebuilds numpy arrays and numbers, under its names before and since NumPy 2."""
    core = getattr(np, '_core', None) or np.core
    return [(getattr(core.multiarray, name), f'numpy.{package}.multiarray.{name}')
            for package in ('core', '_core') for name in ('_reconstruct', 'scalar')]


def _code_in(path: Path) -> Iterator[str]:
    """Yield the names in a file's pickles that are neither tensors' nor numpy's; runs nothing."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith('data.pkl'):
                        with archive.open(name) as stream:
                            yield from _foreign(stream)
        else:
            with path.open('rb') as stream:
                while stream.peek(1):
                    yield from _foreign(stream)
    except Exception:  # where the pickles end or are damaged; this only words a refusal
        return


def _foreign(stream: BinaryIO | Any) -> Iterator[str]:
    words: list[str] = []
    for opcode, value, _ in pickletools.genops(stream):
        if opcode.name in ('GLOBAL', 'INST'):
            module, name = str(value).split(' ', 1)
        elif opcode.name == 'STACK_GLOBAL' and len(words) > 1:
            module, name = words[-2:]
        else:
            words = [*words[-1:], value] if isinstance(value, str) else words
            continue
        if module not in _PLAIN_MODULES and module.split('.')[0] != 'numpy':
            yield f'{module}.{name}'
