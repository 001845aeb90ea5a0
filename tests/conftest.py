"""What several tests share: the project's dataset, a built release, and a server that really runs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import settings

from rsm_graph import release
from rsm_graph.dataset import Dataset

# The same examples everywhere, so that what passes here passes on a fresh machine; to look for new ones:
# python -m pytest --hypothesis-profile=search
settings.register_profile("repeated", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("repeated")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """The project's whole dataset."""
    return release.assemble()


@pytest.fixture(scope="session")
def store(dataset: Dataset) -> ox.Store:
    """The dataset in an engine: the default graph and every named graph."""
    loaded = ox.Store()
    loaded.extend(ox.Quad(*triple) for triple in dataset.default_triples)
    loaded.extend(dataset.quads)
    return loaded


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> release.Release:
    """A built release of the project's dataset."""
    return release.build(dataset, release.checked(dataset), tmp_path_factory.mktemp("release") / "dist")


def run(
    *arguments: str, cwd: Path = ROOT, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``rsm-graph`` as a user does and return what it printed and its exit code."""
    command = [sys.executable, "-m", "rsm_graph", *arguments]
    environment = os.environ | (env or {})
    return subprocess.run(
        command, cwd=cwd, input=stdin, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@contextlib.contextmanager
def running(*arguments: str, cwd: Path = ROOT) -> Iterator[tuple[str, int]]:
    """Run ``rsm-graph serve`` on a free port; yield its address and process id, and stop it at the end."""
    command = [sys.executable, "-m", "rsm_graph", "serve", "--port", "0", *arguments]
    with (
        tempfile.TemporaryFile("w+") as log,  # a pipe that nobody reads would fill up
        subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                process.kill()
                log.seek(0)
                raise AssertionError(f"the server did not start: {line}{log.read()}")
            yield address[0], process.pid
        finally:
            process.terminate()
            process.communicate(timeout=20)


@contextlib.contextmanager
def serving(*arguments: str, cwd: Path = ROOT) -> Iterator[httpx.Client]:
    """Run ``rsm-graph serve`` on a free port and yield a client of it; the server is stopped at the end."""
    with running(*arguments, cwd=cwd) as (address, _), httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def server() -> Iterator[httpx.Client]:
    """A client of one server over the project's dataset, shared by the tests that only read."""
    with serving() as client:
        yield client
