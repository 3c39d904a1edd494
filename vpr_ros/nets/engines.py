# SPDX-License-Identifier: Apache-2.0
"""What can run a model folder: engines and precisions, and how one of them is opened.

Every engine is imported where it is opened and nowhere else, so a name here costs nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.nets.model_folder import GRAPH, INT8_GRAPH, OPENVINO_INT8
from vpr_ros.nets.opened_model import opened

ENGINES = ('auto', 'onnxruntime', 'openvino', 'torch')
PRECISIONS = ('auto', 'fp32', 'bf16', 'fp16', 'int8')
_CAN = {'onnxruntime': ('fp32', 'fp16', 'int8'), 'openvino': ('fp32', 'bf16', 'fp16', 'int8'),
        'torch': ('fp32', 'fp16')}
_INSTALL = {'onnxruntime': 'pip install onnxruntime', 'openvino': 'pip install openvino',
            'torch': 'pip install torch==2.13.0'}
_DISTRIBUTIONS = {'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'), 'openvino': ('openvino',),
                  'torch': ('torch',)}
_NVIDIA = ('/dev/nvidiactl', '/dev/nvhost-gpu', '/dev/nvgpu', '/dev/dxg')


@dataclass(frozen=True)
class Candidate:
    """An engine and a precision that may run a model."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f'{self.engine} {self.precision}'


def installed() -> tuple[str, ...]:
    """Return the engines that can be imported here; nothing is imported to find out."""
    return tuple(engine for engine in ENGINES[1:] if find_spec(engine) is not None)


def engine_versions() -> dict[str, str]:
    """Return the versions of the installed engines, as their packages tell them."""
    return {engine: _version(engine) for engine in installed()}


def refuse_unknown(engine: str, precision: str) -> None:
    """Raise ModelError for an engine or precision that there is not, or is not installed."""
    if engine not in ENGINES:
        raise ModelError(f'there is no engine {engine}; choose one of {", ".join(ENGINES)}')
    if precision not in PRECISIONS:
        raise ModelError(f'there is no precision {precision}; choose one of '
                         f'{", ".join(PRECISIONS)}')
    if engine != 'auto' and engine not in installed():
        raise ModelError(f'the engine {engine} is not installed; {_INSTALL[engine]}, or choose '
                         f'engine auto')


def candidates(folder: Path, card: ModelCard, engine: str, precision: str
               ) -> tuple[Candidate, ...]:
    """Return what may run a folder as asked, the plainest first; one is not measured.

    `precision` auto: int8 only where the card was released with it, and float beside it.
    Torch only where it is asked for, there is a GPU, or nothing else is installed.
    Raises ModelError when there is nothing.
    """
    refuse_unknown(engine, precision)
    names, folder = _engines(engine), opened(folder)
    if not names:
        raise ModelError(f'no engine is installed; {_INSTALL["onnxruntime"]}')
    if precision != 'auto':
        names = tuple(name for name in names if precision in _CAN[name])
        if not names:
            raise ModelError(f'{engine} does not run {precision}; choose another engine or '
                             'precision')
        if precision == 'int8':
            names = tuple(name for name in names if _has_int8(folder, name)) or names[:1]
        return tuple(Candidate(name, precision) for name in names)
    found = []
    for name in names:
        found += [Candidate(name, each) for each in _float_precisions(name)]
        if card.precision == 'int8' and _has_int8(folder, name):
            found.append(Candidate(name, 'int8'))
    return tuple(found)


def open_describer(folder: Path, card: ModelCard, threads: int, candidate: Candidate
                   ) -> EngineDescriber:
    """Return the describer of a checked folder in one engine and precision; raises ModelError."""
    engine, precision, folder = candidate.engine, candidate.precision, opened(folder)
    if engine == 'torch':
        from vpr_ros.nets.torch_describer import load_network, TorchDescriber
        return TorchDescriber(load_network(folder, card), card, threads, precision)
    if precision == 'int8' and not _has_int8(folder, engine):
        raise ModelError(f'{folder} holds no int8 graph for {engine}; make one by vpr quantize, '
                         'or choose precision auto')
    if engine == 'openvino':
        from vpr_ros.nets.openvino_describer import OpenvinoDescriber
        graph = OPENVINO_INT8 if precision == 'int8' else GRAPH
        return OpenvinoDescriber(folder / graph, card, threads, precision)
    from vpr_ros.nets.onnx_describer import OnnxDescriber
    graph = INT8_GRAPH if precision == 'int8' else GRAPH
    return OnnxDescriber(folder / graph, card, threads, precision)


def gpu_present() -> bool:
    """Return whether there is a device of NVIDIA's; no library is loaded to find out."""
    return any(Path(device).exists() for device in _NVIDIA)


def _version(engine: str) -> str:
    for name in _DISTRIBUTIONS[engine]:
        with suppress(PackageNotFoundError):
            return version(name)
    return 'unknown'


def _engines(engine: str) -> tuple[str, ...]:
    if engine != 'auto':
        return (engine,)
    here = installed()
    light = tuple(name for name in here if name != 'torch')
    return here if gpu_present() or not light else light


def _float_precisions(engine: str) -> tuple[str, ...]:
    """Return the float precisions that an engine has here; this imports it."""
    if engine == 'openvino':
        from vpr_ros.nets.openvino_describer import float_precisions
        return float_precisions()
    if engine == 'torch':
        from vpr_ros.nets import torch_describer
        return torch_describer.float_precisions()
    return ('fp32',)


def _has_int8(folder: Path, engine: str) -> bool:
    files = {'onnxruntime': INT8_GRAPH, 'openvino': OPENVINO_INT8}
    return engine in files and (folder / files[engine]).is_file()
