"""The processes of a run, as Accelerate launched them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from audiotok.errors import AudiotokError, MissingPackageError

_BUCKET = 2**24  # gradients reduced at once


class ProcessGroup:
    """This process among `count`; sums and gathers are over all of them.

    Args:
        cpu: use the CPU even if there is a GPU.
        bf16: whether `autocast` is to bfloat16.
    """

    def __init__(self, cpu: bool = False, bf16: bool = False, **settings: Any):
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise MissingPackageError("accelerate", "train", "training") from error
        self.accelerator = Accelerator(cpu=cpu, **settings)
        self.device = self.accelerator.device
        self.rank: int = self.accelerator.process_index
        self.count: int = self.accelerator.num_processes
        self.is_main: bool = self.accelerator.is_main_process
        self._bf16 = bf16

    def autocast(self) -> AbstractContextManager:
        """The context in which networks run: bfloat16 if the recipe says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same in all of them."""
        return self.accelerator.reduce(tensor, "sum") if self.count > 1 else tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """Tensors of equal shape, concatenated along the first dimension in order of rank."""
        return self.accelerator.gather(tensor.contiguous()) if self.count > 1 else tensor

    def objects(self, item: Any) -> list[Any]:
        """The object `item` of every process, in order of rank."""
        if self.count == 1:
            return [item]
        gathered: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(gathered, item)
        return gathered

    def in_main(self, work: Callable[[], Any] | None) -> Any:
        """Calls `work` in the main process only; its AudiotokError is raised in all processes.

        Returns what `work` returned, in the main process.
        """
        error = result = None
        if self.is_main:
            try:
                result = work()
            except AudiotokError as reason:
                error = reason
        error = self.objects(error)[0]
        if error is not None:
            raise error
        return result

    def wait(self) -> None:
        """Waits until all processes have called this."""
        self.accelerator.wait_for_everyone()

    def copy_from_first(self, module: nn.Module) -> None:
        """Copies weights and buffers from the process of rank 0 to all others."""
        if self.count > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                torch.distributed.broadcast(tensor.data, 0)

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter], passes: int) -> None:
        """Averages gradients over processes and passes; a missing gradient counts as 0.

        They are summed once after all passes, so that networks need no wrapper: one forward serves
        the steps of generator and discriminators, and the weights that have a gradient may differ
        between processes.
        """
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        share = 1 / (passes * self.count)
        if self.count == 1:
            if passes > 1:
                torch._foreach_mul_([parameter.grad for parameter in parameters], share)
            return
        bucket: list[Tensor] = []
        for number, parameter in enumerate(parameters):
            bucket.append(parameter.grad)
            if (
                number + 1 == len(parameters)
                or sum(gradient.numel() for gradient in bucket) >= _BUCKET
            ):
                flat = self.sum(torch.cat([gradient.flatten() for gradient in bucket])) * share
                for gradient, mean in zip(
                    bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True
                ):
                    gradient.copy_(mean.view_as(gradient))
                bucket = []
