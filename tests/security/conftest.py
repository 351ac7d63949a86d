"""One server process for the tests of a module that only ask it questions."""

import httpx2
import pytest

from benchmarks.serving_process import ServerProcess


@pytest.fixture(scope="module")
def server(serving_site, tmp_path_factory):
    with ServerProcess(serving_site, tmp_path_factory.mktemp("server"), "--ship_seconds=0.2", "--patience_seconds=1") as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with httpx2.Client(base_url=server.address, timeout=30) as opened:
        yield opened
