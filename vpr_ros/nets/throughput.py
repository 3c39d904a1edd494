# SPDX-License-Identifier: Apache-2.0
"""How many multiply-adds a network takes, and how many a second this processor can do at best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vpr_ros.nets.machine import PRODUCT_SIDE as SIDE
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.network import rebuild


def multiply_adds(folder: Path) -> int:
    """Return the multiply-adds of a model for one image: convolutions and matrix products."""
    card = read_card(folder)
    network, pre = rebuild(card), card.preprocessing
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, pre.height_px, pre.width_px))
    return int(counter.get_total_flops()) // 2


def matrix_product(precision: str) -> Callable[[], object] | None:
    """Return what does a large product (PRODUCT_SIDE^3) by oneDNN; None where it cannot.

    fp32 by the linear layer of oneDNN: a plain product goes to MKL, which is half as fast on
    processors that are not Intel's.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
    products: dict[str, Callable[[], object]] = {}
    if precision == 'fp32':
        linear: Any = torch.ops.mkldnn._linear_pointwise
        products = {'onednn': lambda: linear(a, b, None, 'none', [], ''), 'plain': lambda: a @ b}
    elif precision == 'bf16':
        half, other = a.bfloat16(), b.bfloat16()
        products = {'onednn': lambda: half @ other}
    elif precision == 'int8':
        few, many = ((20 * x).clamp(-127, 127).to(torch.int8) for x in (a, b))
        int_mm: Any = torch._int_mm
        products = {'onednn': lambda: int_mm(few, many)}
    for product in products.values():
        try:
            product()
        except (RuntimeError, NotImplementedError, AttributeError):
            continue  # this build of torch, or this processor, has it not
        return product
    return None


def set_threads(threads: int) -> None:
    """Let torch use that many threads in this process."""
    torch.set_num_threads(threads)
