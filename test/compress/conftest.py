# SPDX-License-Identifier: Apache-2.0
"""Small networks to prune, one for each aggregator, and the way from a plan to a cut."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.prune import cut  # noqa: E402
from vpr_ros.compress.prune_graph import groups_of  # noqa: E402
from vpr_ros.compress.prune_groups import Group  # noqa: E402
from vpr_ros.compress.prune_scores import scores_of  # noqa: E402
from vpr_ros.compress.prune_widths import channels_left, Plan, strongest  # noqa: E402
from vpr_ros.nets.network import build_network, Network  # noqa: E402

torch.set_num_threads(1)  # on a busy machine two wait for each other
SIDE_PX = 64
BACKBONE, CUT = 'mobilenet_v2', 'features.4'
HEADS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    'gem': ('gem', {}), 'gem-linear': ('gem', {'dim': 24}),
    'convap': ('convap', {'channels': 24, 'grid': 2}), 'grid': ('grid', {'grid': 2}),
    'mixvpr': ('mixvpr', {'channels': 24, 'rows': 4, 'depth': 2, 'height': 8, 'width': 8,
                          'hidden': 32}),
    'netvlad': ('netvlad', {'clusters': 6}),
    'netvlad-reduce': ('netvlad', {'clusters': 6, 'channels': 12}),
    'netvlad-whiten': ('netvlad', {'clusters': 6, 'dim': 24}),
    'netvlad-both': ('netvlad', {'clusters': 6, 'channels': 12, 'dim': 24}),
    'boq': ('boq', {'channels': 16, 'queries': 6, 'blocks': 2, 'rows': 6, 'heads': 2,
                    'hidden': 24})}


@pytest.fixture(scope='session')
def heads() -> Mapping[str, tuple[str, Mapping[str, float]]]:
    """Return (aggregator, its arguments) by a short name."""
    return HEADS


@pytest.fixture(scope='session')
def make_dense() -> Callable[..., Network]:
    """Return a maker of networks whose weights and batch statistics are random throughout."""
    def make(head: str = 'convap', backbone: str = BACKBONE, cut: str = CUT,
             width_mult: float = 0.25, seed: int = 0) -> Network:
        torch.manual_seed(seed)
        network = build_network(backbone, cut, *HEADS[head], width_mult)
        for name, tensor in network.state_dict().items():
            if name.endswith('running_var'):
                tensor.uniform_(0.5, 2.0)
            elif tensor.ndim == 1:   # biases, norms, running means
                tensor.normal_(1.0 if name.endswith('weight') else 0.0, 0.3)
        return network.eval()
    return make


@pytest.fixture(scope='session')
def images() -> Any:
    """Return (4, 3, SIDE_PX, SIDE_PX) of noise."""
    return torch.randn(4, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope='session')
def prune_by() -> Callable[..., tuple[Network, dict[str, Any]]]:
    """Return what scores a network, makes a plan of it and cuts: (smaller network, masks)."""
    def prune(network: Network, plan: Plan, criterion: Any = 'l2',
              dense: Sequence[Group] | None = None, seed: int = 0
              ) -> tuple[Network, dict[str, Any]]:
        groups = groups_of(network)
        gradients = {name: torch.randn(parameter.shape, generator=torch.Generator()
                                       .manual_seed(seed))
                     for name, parameter in network.named_parameters()}
        scores = scores_of(network, groups, criterion, gradients, seed)
        left = channels_left(dense or groups, scores, plan)
        kept = {name: strongest(scores[name], count) for name, count in left.items()}
        return cut(network, groups, kept), kept
    return prune
