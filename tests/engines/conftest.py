from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nni_server import Nni, nni_server


@pytest.fixture
def nni(tmp_path: Path) -> Iterator[Nni]:
    """An NNI without experiments; whatever is started in it is stopped at the end."""
    with nni_server(tmp_path / "home") as server:
        yield server
