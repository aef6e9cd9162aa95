"""The smallest task that the training loop can run."""

import numpy as np
import torch
from torch import nn

from cardiomorph.training.hardware import Hardware
from cardiomorph.training.loop import Plan

PLAN = Plan(12, 4, 30, 0.1, seed=3, report_every=4, evaluate_every=6, checkpoint_every=5)


class Line:
    """Fits y = w x; diverges from ``bad`` on; every step draws noise."""

    def __init__(self, bad=None, hardware=None):
        torch.manual_seed(0)
        self.hardware = hardware or Hardware()
        self.model = self.result = nn.Linear(1, 1, bias=False)
        self.modules = {"model": self.model}
        self.optimizers = {"adam": torch.optim.Adam(self.model.parameters(), 0.1)}
        self.bad, self.seen = bad, []

    def plan(self):
        return PLAN

    def batch(self, indices, rng):
        mine = self.hardware.share(len(indices))
        x = torch.from_numpy(indices).float()[:, None] + torch.randn((len(indices), 1), generator=rng)
        return indices.tolist(), x[mine]

    def step(self, step, batch):
        indices, x = batch
        self.seen.append((step, indices))
        loss = (self.model(x) - 3 * x).square().mean()
        if self.bad is not None and step >= self.bad:
            loss = loss * float("nan")
        self.hardware.descend(self.optimizers["adam"], loss)
        return {"loss": loss}

    def evaluate(self):
        return {"weight": self.model.weight.item()}

    def histograms(self):
        return {"weight": self.model.weight.detach()}

    def picture(self):
        return np.zeros((4, 4), np.float32)
