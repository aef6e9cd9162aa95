"""A small atlas from untrained networks: synthesis must be right whatever the weights are."""

import pytest
import torch

from cardiomorph.models.checkpoint import save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.synthesis.build import build_atlas


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    save_model(root / "shape", "shape", LabelVAE(LabelVAEConfig(width=2, latent_dims=4, bottleneck=8)))
    save_model(root / "image", "image", ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=4)))
    return root


@pytest.fixture(scope="session")
def atlas(cohort, model_folders, tmp_path_factory):
    folder = cohort if not hasattr(cohort, "folder") else cohort.folder
    return build_atlas(
        folder, tmp_path_factory.mktemp("atlas") / "atlas", shape=model_folders / "shape", image=model_folders / "image"
    )
