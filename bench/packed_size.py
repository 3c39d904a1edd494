# SPDX-License-Identifier: Apache-2.0
"""What entropy coders make of pruned weights that share values, beside their entropy.

`python bench/packed_size.py [MODEL ...] [--settings 0.5,8 0.7,8 0.5,5] [--file]`

Without a model, a layer of a million weights of a bell curve. Models are compressed in one go, as
`vpr compress` without learning does. constriction (ANS) and pcodec (ANS as well) are tried where
they are installed (`pip install constriction pcodec`); the package needs neither. With `--file`
each is written as a model folder and packed, and the file compared with its weights in float32.
Times are processor time for each weight, of one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
import zstandard

from vpr_ros.nets.array_code import CodedArray, decode, encode, Kind
from vpr_ros.nets.byte_streams import expand_numbers, squeeze_numbers

_SYNTHETIC = 1_000_000
_FEWEST = 512          # weights of a layer, as vpr compress has it
_ANS_AT_MOST = 500_000  # weights that are timed with constriction, which is slow

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Coder:
    """A name, what writes several layers, and what reads them back.

    It takes the indices of the weights, dense; or `whole`, the bits of the weights themselves.
    """

    name: str
    write: Callable[[Arrays], Any]
    read: Callable[[Any], Any]
    size: Callable[[Any], int]
    whole: bool = False


def coders() -> list[Coder]:
    """Return the coders that are installed."""
    found = [Coder(f'zstd {level}, dense', _zstd(level), _unzstd, _total) for level in (3, 19)]
    found.append(Coder('this file: zstd, gaps where many are zero', _ours, _read_ours,
                       lambda told: sum(map(len, (*told[0], *told[1]))), whole=True))
    if find_spec('pcodec'):
        found.append(Coder('pcodec, dense', _pcodec, _unpcodec, _total))
    if find_spec('constriction'):
        found.append(Coder('constriction (ANS), dense', _ans, _unans,
                           lambda told: sum(4 * len(words) + table
                                            for words, _, _, table in told)))
    return found


def measure(coder: Coder, layers: Arrays) -> tuple[int, float, float]:
    """Return bytes, and nanoseconds a weight to write and to read."""
    if coder.name.startswith('constriction'):
        layers = [layer[:max(1, _ANS_AT_MOST * len(layer) // sum(map(len, layers)))]
                  for layer in layers] if sum(map(len, layers)) > _ANS_AT_MOST else layers
    count = sum(map(len, layers))
    started = time.process_time()
    told = coder.write(layers)
    written = time.process_time() - started
    spent = []
    for _ in range(3):
        started = time.process_time()
        back = coder.read(told)
        spent.append(time.process_time() - started)
    for mine, theirs in zip(layers, back, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return coder.size(told), 1e9 * written / count, 1e9 * min(spent) / count


def entropy_bytes(layers: Arrays) -> float:
    """Return what no code without memory goes below, one for each layer."""
    bits = 0.0
    for layer in layers:
        counts = np.bincount(layer, minlength=256)
        counts = counts[counts > 0]
        bits -= float((counts * np.log2(counts / len(layer))).sum())
    return bits / 8


def indices_of(weights: Sequence[NDArray[np.float32]]
               ) -> tuple[list[NDArray[Any]], list[NDArray[np.uint8]]]:
    """Return the bits of arrays that share values, and their dense indices; 0 is zero."""
    found, bits = [], []
    for array in weights:
        items = array.reshape(-1).view('<u4')
        coded = encode(items)
        if coded.plan.kind is Kind.PLAIN:
            continue
        bits.append(items)
        dense = np.zeros(coded.plan.count, np.uint8)
        if coded.plan.kind is Kind.SPARSE:
            dense[_places(coded)] = coded.symbols
        elif coded.symbols.size:
            dense = coded.symbols
        found.append(dense)
    return bits, found


def _places(coded: CodedArray) -> NDArray[np.intp]:
    walked = np.cumsum(np.where(coded.steps == 0, 255, coded.steps), dtype=np.intp)
    return np.asarray(walked[coded.steps != 0] - 1)


def _total(told: Sequence[bytes]) -> int:
    return sum(map(len, told))


def _zstd(level: int) -> Callable[[Arrays], list[bytes]]:
    return lambda layers: [zstandard.ZstdCompressor(level).compress(layer.tobytes())
                           for layer in layers]


def _unzstd(told: Sequence[bytes]) -> list[NDArray[np.uint8]]:
    return [np.frombuffer(zstandard.ZstdDecompressor().decompress(each), np.uint8)
            for each in told]


def _ours(weights: Arrays) -> Any:
    coded = [encode(layer) for layer in weights]
    streams = [np.concatenate([getattr(each, name) for each in coded])
               for name in ('symbols', 'steps')]
    return *map(squeeze_numbers, streams), coded, [len(stream) for stream in streams]


def _read_ours(told: Any) -> list[NDArray[Any]]:
    symbols, steps, coded, counts = told
    streams = [expand_numbers([memoryview(frame) for frame in frames], 1, count)
               for frames, count in zip((symbols, steps), counts, strict=True)]
    back, at = [], [0, 0]
    for each in coded:
        ends = at[0] + len(each.symbols), at[1] + len(each.steps)
        parts = streams[0][at[0]:ends[0]], streams[1][at[1]:ends[1]]
        back.append(decode(CodedArray(each.plan, each.plain, each.codebook, *parts)))
        at = list(ends)
    return back


def _pcodec(layers: Arrays) -> list[bytes]:
    library: Any = import_module('pcodec')
    config = library.ChunkConfig(compression_level=8, delta_spec=library.DeltaSpec.no_op(),
                                 mode_spec=library.ModeSpec.classic())
    return [library.standalone.simple_compress(layer.astype(np.uint16), config)
            for layer in layers]


def _unpcodec(told: Sequence[bytes]) -> list[Any]:
    library: Any = import_module('pcodec')
    return [library.standalone.simple_decompress(each) for each in told]


def _ans(layers: Arrays) -> Any:
    library: Any = import_module('constriction')
    told = []
    for layer in layers:
        share = np.bincount(layer, minlength=int(layer.max()) + 2) / len(layer)
        model = library.stream.model.Categorical(share, perfect=False)
        coder = library.stream.stack.AnsCoder()
        coder.encode_reverse(layer.astype(np.int32), model)
        table = 2 * np.count_nonzero(share)  # a file would have to hold how often each stands
        told.append((coder.get_compressed(), model, len(layer), table))
    return told


def _unans(told: Any) -> list[Any]:
    library: Any = import_module('constriction')
    return [library.stream.stack.AnsCoder(words).decode(model, count)
            for words, model, count, _ in told]


def synthetic(prune: float, bits: int) -> list[NDArray[np.float32]]:
    """Return a layer of a bell curve, pruned, its values evenly spread."""
    weights = np.random.default_rng(0).standard_normal(_SYNTHETIC, np.float32)
    step = np.float32(2.0 * np.abs(weights).max() / (2 ** bits - 1))
    shared = np.rint(weights / step) * step
    shared[np.abs(weights) < np.quantile(np.abs(weights), prune)] = 0.0
    return [shared + np.float32(0.0)]


def compressed(folder: Path, prune: float, bits: int, packed: Path | None
               ) -> tuple[list[NDArray[np.float32]], str]:
    """Return a model's large weights, compressed in one go, and how large its file is."""
    from vpr_ros.compress.compress_config import CompressConfig, CompressRun
    from vpr_ros.compress.compress_run import compressed_once
    from vpr_ros.nets.export import card_of, write_model
    from vpr_ros.nets.model_folder import read_card
    from vpr_ros.nets.pack import pack
    from vpr_ros.nets.torch_describer import load_network
    card = read_card(folder)
    network = compressed_once(load_network(folder, card),
                              CompressRun(CompressConfig(prune=prune, bits=bits)))
    weights = [tensor.numpy() for tensor in network.state_dict().values()
               if tensor.is_floating_point() and tensor.numel() >= _FEWEST]
    if packed is None:
        return weights, ''
    card = card_of(network, card.name, card.backbone, card.cut, card.aggregator,
                   card.aggregator_args, card.preprocessing, card.licence, card.digest)
    write_model(packed, network, card)
    sizes = pack(packed, packed.with_suffix('.vprz'))
    return weights, (f'{sizes.file_bytes:,} bytes of {sizes.weights_bytes:,}: 1/{sizes.ratio:.2f} '
                     f'(indices {sizes.index_bytes:,}, gaps {sizes.gap_bytes:,}, codebooks '
                     f'{sizes.codebook_bytes:,}, whole {sizes.plain_bytes:,}, rest '
                     f'{sizes.rest_bytes:,})')


def main() -> None:
    """Print a table for each model and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('models', nargs='*', type=Path)
    parser.add_argument('--settings', nargs='+', default=['0.5,8', '0.7,8', '0.5,5'])
    parser.add_argument('--file', action='store_true')
    flags = parser.parse_args()
    console = Console(width=110)
    for model in flags.models or [None]:
        for setting in flags.settings:
            prune, bits = float(setting.split(',')[0]), int(setting.split(',')[1])
            with TemporaryDirectory() as scratch:
                weights, said = (synthetic(prune, bits), '') if model is None else compressed(
                    model, prune, bits, Path(scratch) / 'model' if flags.file else None)
            bits_of, layers = indices_of(weights)
            count, least = sum(map(len, layers)), entropy_bytes(layers)
            name = 'bell curve' if model is None else model.name
            table = Table(title=f'{name}, {prune:.0%} pruned, {bits} bits: {count:,} weights, '
                          f'{8 * least / count:.2f} bits of entropy each', title_justify='left')
            for head in ('coder', 'bytes', 'x entropy', 'write ns', 'read ns'):
                table.add_column(head, justify='left' if head == 'coder' else 'right')
            for coder in coders():
                size, write_ns, read_ns = measure(coder, bits_of if coder.whole else layers)
                timed = min(1.0, _ANS_AT_MOST / count) if 'ANS)' in coder.name else 1.0
                table.add_row(coder.name, f'{size / timed:,.0f}', f'{size / timed / least:.3f}',
                              f'{write_ns:.1f}', f'{read_ns:.2f}')
            console.print(table)
            if said:
                console.print(said)


if __name__ == '__main__':
    main()
