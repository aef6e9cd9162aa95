"""Where a training runs: the device, the arithmetic, and which of several processes this one is.

`accelerate launch` or `torchrun` start several processes, on one machine or many. Every process draws the whole batch's
random numbers and takes its share of the batch; gradients are averaged before each step, so that all keep the same
weights and a batch means what it means in one process. Only batch norm sees the difference: its statistics are of the
process's share, and running ones are averaged whenever the networks are measured or saved.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.errors import CardiomorphError

Precision = Literal["auto", "float32", "bfloat16"]


def pick_device(name: str) -> str:
    """The device to use; "auto" is "cuda" where there is one. Raises `CardiomorphError` for one that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise CardiomorphError(
            f"the device {name!r} cannot be used here ({str(error).splitlines()[0]})",
            fix="Use --device auto, cpu or cuda",
        ) from error
    return name


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware. A processor that does not is many times slower with it."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@dataclass(frozen=True)
class Hardware:
    """One process of a training.

    Attributes:
        device: torch's name of this process's device.
        precision: of convolutions and matrix products; weights, losses and optimisers stay in float32.
        rank: number of this process.
        processes: how many there are.
    """

    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    rank: int = 0
    processes: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which networks compute in the chosen precision."""
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.precision == "bfloat16")

    def share(self, batch: int) -> slice:
        """Which items of a batch are this process's."""
        each = batch // self.processes
        return slice(self.rank * each, (self.rank + 1) * each)

    def descend(self, optimizer: Optimizer, loss: Tensor) -> None:
        """One step of the optimiser along the gradient of ``loss``, averaged over all processes."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.processes > 1:
            _average([p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None])
        optimizer.step()

    def average_buffers(self, modules: Iterable[nn.Module]) -> None:
        """Gives all processes the same running statistics."""
        if self.processes > 1:
            _average([b for module in modules for b in module.buffers() if b.is_floating_point()])

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Values averaged over all processes."""
        if self.processes == 1 or not values:
            return dict(values)
        averaged = reduce(torch.tensor(list(values.values()), device=self.device), "mean")
        return dict(zip(values, averaged.tolist(), strict=True))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.processes > 1:
            PartialState().wait_for_everyone()


def _average(tensors: list[Tensor]) -> None:
    """Replaces tensors by their means over all processes, in one message."""
    if not tensors:
        return
    flat = reduce(torch.cat([t.flatten() for t in tensors]), "mean")
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def end_process() -> None:
    """Ends one of several processes whose work is done and on disk; where there is one process only, does nothing.

    At once: an interpreter that takes itself apart while threads of the group still let go of tensors may be aborted.
    """
    if torch.distributed.is_initialized():
        _leave()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _check_launcher() -> None:
    """Raises `CardiomorphError` where the launcher's variables are no whole numbers."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT"):
        text = os.environ.get(name)
        if text is not None and not text.lstrip("-").isdecimal():
            raise CardiomorphError(
                f"the environment variable {name} is {text!r}, not a whole number",
                fix="Start several processes with 'accelerate launch' or 'torchrun', or unset it",
            )


def this_process(device: str = "auto", precision: Precision = "auto") -> Hardware:
    """What this process trains on.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; with several processes on GPUs each takes its own.
        precision: "auto" is bfloat16 where the device has it in hardware.

    Raises:
        CardiomorphError: the device is not there, or has no bfloat16.
    """
    picked = pick_device(device)
    _check_launcher()
    state = PartialState(cpu=picked == "cpu")
    if state.num_processes > 1:
        picked = str(state.device)
        # Left to the interpreter's own end, a group of processes may abort it.
        atexit.unregister(_leave)
        atexit.register(_leave)
    if precision == "bfloat16" and not has_bfloat16(picked):
        raise CardiomorphError(
            f"the device {picked!r} has no bfloat16 in hardware", fix='Use "precision": "auto" or "float32"'
        )
    chosen: Literal["float32", "bfloat16"] = (
        "bfloat16" if precision != "float32" and has_bfloat16(picked) else "float32"
    )
    return Hardware(picked, chosen, state.process_index, state.num_processes)
