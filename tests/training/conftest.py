"""A corpus and a recipe for the tests of training."""

import pytest
import torch
from support.training_kit import write_corpus, write_recipe

pytest.importorskip("accelerate")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def recipe_file(corpus, tmp_path):
    return write_recipe(tmp_path / "tiny.yaml", corpus)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
