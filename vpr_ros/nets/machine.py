# SPDX-License-Identifier: Apache-2.0
"""The computer that something was measured on: what decides how fast a network runs there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
import platform

# As the kernel names them on x86 and on ARM; what networks gain most from.
_TELLING = ('avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512_vnni', 'avx_vnni', 'avx512_bf16',
            'avx_ne_convert', 'avx512_fp16', 'amx_tile', 'amx_int8', 'amx_bf16', 'amx_fp16',
            'asimd', 'asimddp', 'asimdhp', 'i8mm', 'bf16', 'sve', 'sve2')
_INT8_PRODUCT = {'avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm'}
_BF16_PRODUCT = {'avx512_bf16', 'amx_bf16', 'bf16'}
PRODUCT_SIDE = 1536  # of the square matrices whose product is what a processor does at best
_GOVERNOR = Path('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')


@dataclass(frozen=True)
class Machine:
    """A processor: its name, telling abilities, cores that are ours of those there are."""

    processor: str
    flags: tuple[str, ...]
    cores: int
    cores_there: int
    governor: str
    system: str

    @property
    def int8(self) -> bool:
        """Whether it multiplies and sums 8-bit numbers without saturating in between (VNNI)."""
        return bool(_INT8_PRODUCT & set(self.flags))

    @property
    def bf16(self) -> bool:
        """Whether it multiplies bf16 numbers."""
        return bool(_BF16_PRODUCT & set(self.flags))


def this_machine() -> Machine:
    """Return what this computer says of itself; 'unknown' where it does not."""
    told: dict[str, str] = {}
    with suppress(OSError):
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace')
        for line in text.partition('\n\n')[0].splitlines():
            name, _, value = line.partition(':')
            told[name.strip()] = value.strip()
    flags = set((told.get('flags') or told.get('Features') or '').split())
    governor = 'unknown'
    with suppress(OSError):
        governor = _GOVERNOR.read_text().strip()
    there = os.cpu_count() or 1
    affinity = getattr(os, 'sched_getaffinity', None)
    return Machine(told.get('model name') or platform.processor() or 'unknown',
                   tuple(flag for flag in _TELLING if flag in flags),
                   len(affinity(0)) if affinity else there, there, governor,
                   f'{platform.system()} {platform.machine()}')
