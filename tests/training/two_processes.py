"""What `test_hardware` starts twice with torchrun: three trainings shared by two processes on the CPU."""

import sys
from pathlib import Path

import torch
from accelerate.utils import gather
from line import PLAN, Line

from cardiomorph.models.discriminator import DiscriminatorConfig
from cardiomorph.models.label_vae import LabelVAEConfig
from cardiomorph.models.spade import ImageModelConfig
from cardiomorph.training.hardware import end_process, this_process
from cardiomorph.training.image import ImageTask, ImageTrainingConfig, train_image
from cardiomorph.training.loop import train
from cardiomorph.training.run import RunFolder
from cardiomorph.training.shape import ShapeTask, ShapeTrainingConfig, train_shape

SHAPE = ShapeTrainingConfig(
    model=LabelVAEConfig(width=2, bottleneck=8), epochs=1, batch_size=8, learning_rate=1e-3, precision="float32"
)

IMAGE = ImageTrainingConfig(
    model=ImageModelConfig(width=2, hidden=4, style_dims=4, noise=True),
    discriminator=DiscriminatorConfig(width=2, layers=2),
    steps=3,
    batch_size=4,
    style_neighbours=0.5,
    precision="float32",
)


def everywhere_the_same(module):
    """Whether all processes hold the same weights and running statistics."""
    flat = torch.cat([t.flatten().float() for t in module.state_dict().values()])
    return bool((gather(flat[None]) == flat).all())


def kept(begin, tasks):
    """A constructor that also keeps what it makes."""

    def constructor(task, *given):
        tasks.append(task)
        begin(task, *given)

    return constructor


def run(cohort, output):
    hardware = this_process("cpu", "float32")
    assert hardware.processes == 2
    line = Line(hardware=hardware)
    train(RunFolder(output / "line", {}, resume=False, hardware=hardware), line, PLAN, "line")
    assert everywhere_the_same(line.model)
    tasks = []
    ShapeTask.__init__ = kept(ShapeTask.__init__, tasks)
    train_shape(cohort, output / "shape", config=SHAPE, device="cpu")
    ImageTask.__init__ = kept(ImageTask.__init__, tasks)
    train_image(cohort, output / "image", config=IMAGE, device="cpu")
    shape, image = tasks
    for module in (shape.model, image.model, image.judge, image.average):
        assert everywhere_the_same(module)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
    end_process()
