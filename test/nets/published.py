# SPDX-License-Identifier: Apache-2.0
"""Networks as others publish them: names, shapes and formulas, written down from their sources.

Nothing here uses the package; plain functions over dictionaries of random tensors.
"""

import math

import torch
import torch.nn.functional as F

BLOCKS = {'resnet18': (2, 2, 2, 2), 'resnet34': (3, 4, 6, 3), 'resnet50': (3, 4, 6, 3),
          'resnet101': (3, 4, 23, 3), 'resnet152': (3, 8, 36, 3)}
VGG16 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256),
         14: (256, 256), 17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512),
         26: (512, 512), 28: (512, 512)}


class Weights(dict):
    """A state dict that grows by random layers; `shapes_only` leaves the numbers out."""

    def __init__(self, seed=0, shapes_only=False):
        super().__init__()
        self.device = 'meta' if shapes_only else 'cpu'
        self.generator = None if shapes_only else torch.Generator().manual_seed(seed)

    def add(self, name, *shape, scale=1.0, shift=0.0):
        self[name] = torch.randn(shape, generator=self.generator, device=self.device) * scale
        self[name] += shift

    def convolution(self, name, n_in, n_out, side, bias=False):
        self.add(f'{name}.weight', n_out, n_in, side, side, scale=math.sqrt(2 / n_in) / side)
        if bias:
            self.add(f'{name}.bias', n_out, scale=0.1)

    def batch_norm(self, name, channels):
        self.add(f'{name}.weight', channels, scale=0.1, shift=0.8)
        self.add(f'{name}.bias', channels, scale=0.1)
        self.add(f'{name}.running_mean', channels, scale=0.1)
        self[f'{name}.running_var'] = torch.rand(
            channels, generator=self.generator, device=self.device) + 0.5
        self[f'{name}.num_batches_tracked'] = torch.tensor(7)

    def linear(self, name, n_in, n_out):
        self.add(f'{name}.weight', n_out, n_in, scale=1 / math.sqrt(n_in))
        self.add(f'{name}.bias', n_out, scale=0.1)

    def layer_norm(self, name, channels):
        self.add(f'{name}.weight', channels, scale=0.1, shift=1.0)
        self.add(f'{name}.bias', channels, scale=0.1)

    def attention(self, name, channels):
        self.add(f'{name}.in_proj_weight', 3 * channels, channels, scale=1 / math.sqrt(channels))
        self.add(f'{name}.in_proj_bias', 3 * channels, scale=0.1)
        self.linear(f'{name}.out_proj', channels, channels)


def resnet(name, layers=4, **options):
    """Return the weights of a ResNet up to a layer, under torchvision's names."""
    state, deep, n_in = Weights(**options), name not in ('resnet18', 'resnet34'), 64
    state.convolution('conv1', 3, 64, 7)
    state.batch_norm('bn1', 64)
    for layer in range(layers):
        width = 64 * 2 ** layer
        n_out = 4 * width if deep else width
        for block in range(BLOCKS[name][layer]):
            at = f'layer{layer + 1}.{block}'
            steps = [(n_in, width, 1), (width, width, 3), (width, n_out, 1)] if deep else [
                (n_in, width, 3), (width, n_out, 3)]
            for i, (a, b, side) in enumerate(steps, 1):
                state.convolution(f'{at}.conv{i}', a, b, side)
                state.batch_norm(f'{at}.bn{i}', b)
            if block == 0 and (layer > 0 or deep):
                state.convolution(f'{at}.downsample.0', n_in, n_out, 1)
                state.batch_norm(f'{at}.downsample.1', n_out)
            n_in = n_out
    return state


def vgg16(**options):
    """Return the weights of VGG16's convolutions, `{number}.weight` and `{number}.bias`."""
    state = Weights(**options)
    for number, (n_in, n_out) in VGG16.items():
        state.convolution(str(number), n_in, n_out, 3, bias=True)
    return state


def _norm(state, name, x):
    return F.batch_norm(x, state[f'{name}.running_mean'], state[f'{name}.running_var'],
                        state[f'{name}.weight'], state[f'{name}.bias'])


def resnet_map(state, x):
    """He et al. 2016: `relu(F(x) + shortcut(x))` block by block; strides as in torchvision."""
    x = F.relu(_norm(state, 'bn1', F.conv2d(x, state['conv1.weight'], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    blocks = sorted({tuple(map(int, key[5:].split('.')[:2])) for key in state if
                     key.startswith('layer')})
    for layer, block in blocks:
        at, stride = f'layer{layer}.{block}', 2 if block == 0 and layer > 1 else 1
        deep = f'{at}.conv3.weight' in state
        y = x
        for i in (1, 2, 3) if deep else (1, 2):
            weight = state[f'{at}.conv{i}.weight']
            y = F.conv2d(y, weight, padding=weight.shape[2] // 2,
                         stride=stride if i == (2 if deep else 1) else 1)
            y = _norm(state, f'{at}.bn{i}', y)
            y = F.relu(y) if i < (3 if deep else 2) else y
        if f'{at}.downsample.0.weight' in state:
            x = _norm(state, f'{at}.downsample.1',
                      F.conv2d(x, state[f'{at}.downsample.0.weight'], stride=stride))
        x = F.relu(x + y)
    return x


def vgg16_map(state, x):
    """Simonyan, Zisserman 2015, up to the last convolution and not the ReLU behind it."""
    for number in VGG16:
        if number and number - 1 not in VGG16 and number - 2 not in VGG16:
            x = F.max_pool2d(x, 2)
        x = F.conv2d(x, state[f'{number}.weight'], state[f'{number}.bias'], padding=1)
        x = F.relu(x) if number != 28 else x
    return x


def renamed(state, rule):
    """Return the weights under other names; `rule` turns 'layer3' or 'conv1' into a prefix."""
    return {f'{rule(child)}.{rest}': value
            for child, rest, value in ((*key.split('.', 1), value)
                                       for key, value in state.items())}


def child_number(child):
    """nn.Sequential(conv1, bn1, relu, maxpool, layer1, ...) counts its children."""
    return {'conv1': '0', 'bn1': '1'}.get(child) or str(3 + int(child[-1]))


def halves(frozen):
    """OpenVPRLab: a stem and the layers, of which the first `frozen` are in one sequence."""
    def rule(child):
        block = int(child[-1]) if child.startswith('layer') else 0
        inside = {'conv1': '.0', 'bn1': '.1'}.get(child, '')
        return (f'backbone.frozen_layers.{block}{inside}' if block < frozen else
                f'backbone.unfrozen_layers.{block - frozen}{inside}')
    return rule


def unit(x, dim=1):
    return x / (x * x).sum(dim, keepdim=True).sqrt().clamp(min=1e-12)


def gem(x, p, before=False, pooled=False, linear=None):
    """(1/N sum x^p)^(1/p); L2 before as in CosPlace, between as in Radenovic's."""
    x = unit(x) if before else x
    v = x.clamp(min=1e-6).pow(p).flatten(2).mean(2).pow(1 / p)
    v = unit(v) if pooled else v
    return unit(v if linear is None else v @ linear[0].T + linear[1])


def convap(x, weight, bias, cells):
    """Average of each cell of the map after a 1x1 convolution; sides divide by `cells` here."""
    y = torch.einsum('bchw,dc->bdhw', x, weight[:, :, 0, 0]) + bias[:, None, None]
    b, d, h, w = y.shape
    y = y.reshape(b, d, cells, h // cells, cells, w // cells).mean((3, 5))
    return unit(y.flatten(1))


def netvlad(x, weight, centroids, linear=None):
    """V(k) = sum_i a_k(x_i) (x_i - c_k), as a loop over clusters and positions would do it."""
    rows = []
    for features in unit(x).flatten(2):                                   # (C, N)
        a = torch.softmax(weight[:, :, 0, 0] @ features, 0)               # (K, N)
        v = torch.stack([sum(a[k, i] * (features[:, i] - centroids[k])
                             for i in range(features.shape[1])) for k in range(len(centroids))])
        rows.append(unit(v).flatten())
    v = unit(torch.stack(rows))
    return v if linear is None else unit(v @ linear[0].T + linear[1])


def layer_norm(x, state, name):
    centered = x - x.mean(-1, keepdim=True)
    scale = (centered.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
    return centered * scale * state[f'{name}.weight'] + state[f'{name}.bias']


def linear(x, state, name):
    return x @ state[f'{name}.weight'].T + state[f'{name}.bias']


def mixvpr(x, state, depth):
    """X <- X + W2 relu(W1 norm(X)) on each flattened channel; then channels, then rows."""
    x = x.flatten(2)
    for i in range(depth):
        y = layer_norm(x, state, f'aggregator.mix.{i}.mix.0')
        y = linear(F.relu(linear(y, state, f'aggregator.mix.{i}.mix.1')), state,
                   f'aggregator.mix.{i}.mix.3')
        x = x + y
    x = linear(x.transpose(1, 2), state, 'aggregator.channel_proj').transpose(1, 2)
    return unit(linear(x, state, 'aggregator.row_proj').flatten(1))


def attention(query, key, state, name, heads):
    """Torch's multi-head attention, one image and one head at a time."""
    weight, bias = state[f'{name}.in_proj_weight'], state[f'{name}.in_proj_bias']
    n = weight.shape[1]
    q, k, v = (source @ weight[i * n:(i + 1) * n].T + bias[i * n:(i + 1) * n]
               for i, source in enumerate((query, key, key)))
    d, outs = n // heads, []
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        scores = torch.softmax(q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(d), -1)
        outs.append(scores @ v[..., part])
    return linear(torch.cat(outs, -1), state, f'{name}.out_proj')


def boq(x, state, blocks, heads):
    """Projection, then per block: encoder layer (norms behind), queries, cross attention."""
    x = F.conv2d(x, state['aggregator.proj_c.weight'], state['aggregator.proj_c.bias'], padding=1)
    x = layer_norm(x.flatten(2).transpose(1, 2), state, 'aggregator.norm_input')
    answers = []
    for i in range(blocks):
        at = f'aggregator.boqs.{i}'
        x = layer_norm(x + attention(x, x, state, f'{at}.encoder.self_attn', heads), state,
                       f'{at}.encoder.norm1')
        wide = F.relu(linear(x, state, f'{at}.encoder.linear1'))
        x = layer_norm(x + linear(wide, state, f'{at}.encoder.linear2'), state,
                       f'{at}.encoder.norm2')
        q = state[f'{at}.queries'].expand(len(x), -1, -1)
        q = layer_norm(q + attention(q, q, state, f'{at}.self_attn', heads), state,
                       f'{at}.norm_q')
        answers.append(layer_norm(attention(q, x, state, f'{at}.cross_attn', heads), state,
                                  f'{at}.norm_out'))
    out = linear(torch.cat(answers, 1).transpose(1, 2), state, 'aggregator.fc')
    return unit(out.flatten(1))


def mixvpr_head(channels, positions, channels_out, rows, depth, hidden=None, **options):
    """Return the weights of MixVPR's aggregator."""
    state, hidden = Weights(**options), hidden or positions
    for i in range(depth):
        state.layer_norm(f'aggregator.mix.{i}.mix.0', positions)
        state.linear(f'aggregator.mix.{i}.mix.1', positions, hidden)
        state.linear(f'aggregator.mix.{i}.mix.3', hidden, positions)
    state.linear('aggregator.channel_proj', channels, channels_out)
    state.linear('aggregator.row_proj', positions, rows)
    return state


def boq_head(channels, channels_out, queries, blocks, rows, **options):
    """Return the weights of BoQ's aggregator."""
    state = Weights(**options)
    state.convolution('aggregator.proj_c', channels, channels_out, 3, bias=True)
    state.layer_norm('aggregator.norm_input', channels_out)
    for i in range(blocks):
        at = f'aggregator.boqs.{i}'
        state.attention(f'{at}.encoder.self_attn', channels_out)
        state.linear(f'{at}.encoder.linear1', channels_out, 4 * channels_out)
        state.linear(f'{at}.encoder.linear2', 4 * channels_out, channels_out)
        state.layer_norm(f'{at}.encoder.norm1', channels_out)
        state.layer_norm(f'{at}.encoder.norm2', channels_out)
        state.add(f'{at}.queries', 1, queries, channels_out)
        state.attention(f'{at}.self_attn', channels_out)
        state.layer_norm(f'{at}.norm_q', channels_out)
        state.attention(f'{at}.cross_attn', channels_out)
        state.layer_norm(f'{at}.norm_out', channels_out)
    state.linear('aggregator.fc', blocks * queries, rows)
    return state
