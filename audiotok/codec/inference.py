"""Run every codec in eval mode, full float32 and PyTorch's defaults, whatever the caller has set.

All settings are restored afterwards, also if several threads run codecs at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from operator import attrgetter
from weakref import WeakKeyDictionary

import torch

from audiotok.system.defaults import no_autocast, pytorch_defaults
from audiotok.system.shared_settings import SharedSettings

_BACKENDS = torch.backends
LOADING = threading.RLock()  # transformers can neither be imported nor build by two threads at once


_ON_CPU = SharedSettings(  # no bfloat16 inside of float32
    (_BACKENDS.mkldnn.matmul, "fp32_precision", "ieee"),
    (_BACKENDS.mkldnn.conv, "fp32_precision", "ieee"),
    (_BACKENDS.mkldnn.rnn, "fp32_precision", "ieee"),
)
_ON_CUDA = SharedSettings(  # no TF32, no algorithm chosen by a race
    (_BACKENDS.cuda.matmul, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn.conv, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn.rnn, "fp32_precision", "ieee"),
    (_BACKENDS.cudnn, "deterministic", True),
    (_BACKENDS.cudnn, "benchmark", False),
)


@contextmanager
def inference(
    network: torch.nn.Module | None, device: torch.device, fast: bool = False, grad: bool = False
) -> Iterator[None]:
    """Eval mode, full float32, deterministic algorithms and PyTorch's defaults, then restored.

    Any number of threads may be inside, with one network or several. PyTorch's process-wide flags
    stay set while any thread is inside; on a CPU only those of oneDNN.

    Args:
        fast: run under PyTorch's autocast to bfloat16.
        grad: record gradients.
    """
    exact = _ON_CUDA if device.type == "cuda" else nullcontext()
    cast = torch.autocast(device.type, dtype=torch.bfloat16) if fast else no_autocast(device.type)
    backward = grad and device.type == "cuda"
    recording = torch.enable_grad() if grad else nullcontext()
    with pytorch_defaults(), _ON_CPU, exact, _eval_mode(network, backward), cast, recording:
        yield


# --- eval mode -----------------------------------------------------------------------------------

_networks: WeakKeyDictionary[torch.nn.Module, _Parts] = WeakKeyDictionary()
_networks_lock = threading.Lock()


class _Parts:
    """The modules below a network, and the modes of those that were changed.

    Listing the 420 modules of Mimi at each call would cost milliseconds. So the list is kept, and
    each call only compares, without a loop in Python, whether any module has new children.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.inside = 0  # calls that run now
        self.before: dict[torch.nn.Module, bool] = {}
        self._find(network)

    def _find(self, network: torch.nn.Module) -> None:
        self.modules = [module for module in network.modules() if module is not network]
        self.parents = [module._modules for module in (network, *self.modules)]
        self.children = list(self._children())

    def _children(self) -> Iterator[torch.nn.Module | None]:
        return chain.from_iterable(map(dict.values, self.parents))

    def set_eval(self, network: torch.nn.Module) -> None:
        if list(self._children()) != self.children:
            self._find(network)
        if network.training or any(map(attrgetter("training"), self.modules)):
            for module in (network, *self.modules):
                self._set(module, False)

    def prepare_backward(self) -> None:
        """cuDNN computes the gradients of an LSTM only in training mode."""
        for module in self.modules:
            if isinstance(module, torch.nn.RNNBase) and not module.dropout:
                self._set(module, True)

    def _set(self, module: torch.nn.Module, training: bool) -> None:
        if module.training != training:
            self.before.setdefault(module, module.training)
            module.training = training

    def restore(self) -> None:
        for module, training in self.before.items():
            module.training = training
        self.before.clear()


@contextmanager
def _eval_mode(network: torch.nn.Module | None, backward: bool) -> Iterator[None]:
    if network is None:
        yield
        return
    with _networks_lock:
        parts = _networks.get(network)
        if parts is None:
            parts = _networks[network] = _Parts(network)
        parts.set_eval(network)
        if backward:
            parts.prepare_backward()
        parts.inside += 1
    try:
        yield
    finally:
        with _networks_lock:
            parts.inside -= 1
            if not parts.inside:
                parts.restore()


def plain_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict of a network, with the names that it has before `torch.compile`."""
    return {key.replace("_orig_mod.", ""): value for key, value in network.state_dict().items()}
