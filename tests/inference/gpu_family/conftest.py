"""A real Triton with a convolution and a moody model, for the tests of a module that do not end it."""

import pytest
from builders.triton import TritonProcess, convolution, moody, repository

from inference.path.remote import TritonModel, TritonServer


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("release") / "triton", convolution=convolution(), moody=moody())


@pytest.fixture(scope="module")
def triton(release, tmp_path_factory):
    with TritonProcess(release, tmp_path_factory.mktemp("scratch")) as running:
        yield running


@pytest.fixture
def own(release, tmp_path):
    """One that a test may kill."""
    with TritonProcess(release, tmp_path) as running:
        yield running


@pytest.fixture
def model():
    """(Triton, model's name) → the model, on the loop of the test."""

    def made(running, name, **settings):
        return TritonModel(TritonServer(running.grpc, **settings), name, (48, 3))

    return made
