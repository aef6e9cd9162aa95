"""What `test_hardware` starts twice with torchrun: two trainings shared by two processes on the CPU."""

import sys
from pathlib import Path

import torch
from accelerate.utils import gather
from line import PLAN, Line

from cardiomorph.models.label_vae import LabelVAEConfig
from cardiomorph.training.hardware import end_process, this_process
from cardiomorph.training.loop import train
from cardiomorph.training.run import RunFolder
from cardiomorph.training.shape import ShapeTask, ShapeTrainingConfig, train_shape

SHAPE = ShapeTrainingConfig(
    model=LabelVAEConfig(width=2, bottleneck=8), epochs=1, batch_size=8, learning_rate=1e-3, precision="float32"
)


def everywhere_the_same(module):
    """Whether all processes hold the same weights and running statistics."""
    flat = torch.cat([t.flatten().float() for t in module.state_dict().values()])
    return bool((gather(flat[None]) == flat).all())


def run(cohort, output):
    hardware = this_process("cpu", "float32")
    assert hardware.processes == 2
    line = Line(hardware=hardware)
    train(RunFolder(output / "line", {}, resume=False, hardware=hardware), line, PLAN, "line")
    assert everywhere_the_same(line.model)
    tasks = []
    original = ShapeTask.__init__
    ShapeTask.__init__ = lambda task, *given: (tasks.append(task), original(task, *given))[0] and None
    train_shape(cohort, output / "shape", config=SHAPE, device="cpu")
    assert everywhere_the_same(tasks[0].model)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
    end_process()
