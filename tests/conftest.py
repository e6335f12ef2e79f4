"""What all tests share: reference fixtures, real photos, a real PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from models.types import Image
from tests.postgres_server import NoServer, Server, running_server

ROOT = Path(__file__).resolve().parent.parent


def folder_or_skip(variable: str, default: Path) -> Path:
    """Return the folder named by an environment variable or its default; skips the test, saying so, without one."""
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; set {variable} to the folder that holds it")
    return folder.resolve()


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Stored outputs of the official implementations, one folder per system."""
    return folder_or_skip("MIEN_FIXTURES", ROOT.parent / "shared" / "golden")


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """Labelled faces and clips, laid out as docs/training.md says."""
    return folder_or_skip("MIEN_TEST_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def weights_mirror() -> Path:
    """Weights of others, laid out as `mien weights get` does; the folder MIEN_WEIGHTS_DIR may name."""
    return folder_or_skip("MIEN_TEST_WEIGHTS", ROOT.parent / "shared" / "weights")


@pytest.fixture(scope="session")
def photo() -> Image:
    """A photo with one clear face: the astronaut that ships with scikit-image, (512, 512, 3), read-only."""
    picture: Image = np.ascontiguousarray(skimage.data.astronaut())
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Debian's PostgreSQL server in a temporary cluster; skips, saying why, where none can be started."""
    try:
        server = running_server()
        running = server.__enter__()
    except NoServer as reason:
        pytest.skip(str(reason))
    yield running
    server.__exit__(None, None, None)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database, made for this test and dropped after it."""
    with postgres_server.fresh_database() as url:
        yield url
