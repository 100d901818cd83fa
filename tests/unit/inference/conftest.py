import pytest
import torch

from hms_pipeline.inference.write import write_bundle

from ...ensembles import Maker


@pytest.fixture(scope="session")
def maker(tmp_path_factory):
    torch.set_num_threads(1)
    maker = Maker(tmp_path_factory.mktemp("maker"), n_patients=4)
    maker.vote(maker.train(1))
    maker.blend()
    return maker


@pytest.fixture(scope="session")
def bundle(maker, tmp_path_factory):
    return write_bundle(maker.paths, maker.params, tmp_path_factory.mktemp("bundle") / "bundle")
