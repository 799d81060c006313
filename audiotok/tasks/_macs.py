"""Counts multiply-accumulates, and which parameters are read, in whatever runs inside a `with`.

    with Counter(network) as counter:
        network(waveform)
    counter.macs, counter.parameters

PyTorch's own FlopCounterMode counts convolutions, matrix products and attention; two operations per
multiply-accumulate. It misses recurrent layers (LSTM, GRU) and attention on the CPU, which are
added here. As in other counters, elementwise operations, norms and Fourier transforms do not count.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

aten = torch.ops.aten


class Counter:
    """Attributes: macs; parameters: how many of `network` were read by any operation."""

    def __init__(self, network: torch.nn.Module):
        self._flops = FlopCounterMode(display=False, custom_mapping=_MISSED)
        self._reads = _Reads(network.parameters())

    def __enter__(self) -> Counter:
        # The fused operation would hide its matrix products from the counter.
        self._fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        with warnings.catch_warnings(action="ignore"):  # about modules that return no tensor
            self._flops.__enter__()
        self._reads.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._reads.__exit__(*reason)
        self._flops.__exit__(*reason)
        torch.backends.mha.set_fastpath_enabled(self._fused)

    @property
    def macs(self) -> int:
        return self._flops.get_total_flops() // 2

    @property
    def parameters(self) -> int:
        return self._reads.total


class _Reads(TorchDispatchMode):
    """Records which parameters are read by operations, also through views."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]):
        super().__init__()
        self._sizes: dict[int, int] = {}  # address of the storage -> parameters in it
        for parameter in parameters:
            address = parameter.untyped_storage().data_ptr()
            self._sizes[address] = self._sizes.get(address, 0) + parameter.numel()
        self._read: set[int] = set()

    @property
    def total(self) -> int:
        return sum(self._sizes[address] for address in self._read)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for value in torch.utils._pytree.tree_leaves((args, kwargs)):
            if isinstance(value, torch.Tensor):
                address = value.untyped_storage().data_ptr()
                if address in self._sizes:
                    self._read.add(address)
        return func(*args, **(kwargs or {}))


def _recurrent(steps: int, weights: Iterable[torch.Size]) -> int:
    """Operations of a recurrent layer: at each step of each clip every weight matrix once."""
    return 2 * steps * sum(math.prod(shape) for shape in weights if len(shape) == 2)


def _onednn_rnn(x, weight, recurrent, *_args, **_kwargs) -> int:
    """One layer in one direction; x (T, B, C)."""
    return _recurrent(x[0] * x[1], (weight, recurrent))


def _cudnn_rnn(x, weights, *_args, **_kwargs) -> int:
    """All layers and directions; x (T, B, C) or (B, T, C)."""
    return _recurrent(x[0] * x[1], weights)


def _cpu_attention(query, key, value, *_args, **_kwargs) -> int:
    return sdpa_flop_count(query, key, value)


_MISSED = {
    aten.mkldnn_rnn_layer: _onednn_rnn,
    aten._cudnn_rnn: _cudnn_rnn,
    aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
}
