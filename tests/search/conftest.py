"""What the tests of the engines share: a real NNI, and a checkout whose only task is a hill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.search.config import SearchConfig
from core.search.storage import default_storage
from core.search.study import open_search
from core.task import Outcome, OutcomeKind, Score
from tests.nni_server import Nni, nni_server
from tests.search import hill


@pytest.fixture
def nni(tmp_path: Path) -> Iterator[Nni]:
    """An NNI without experiments; whatever is started in it is stopped at the end."""
    with nni_server(tmp_path / "home") as server:
        yield server


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of code with one task, hill, and its search space."""
    folder = tmp_path / "checkout"
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "__init__.py").write_text("")
    shutil.copy(hill.__file__, folder / "trials" / "hill.py")
    (folder / "space.json").write_text(json.dumps(hill.SPACE))
    return folder


def proposed_by_optuna(folder: Path, sampler: str, seed: int, total: int) -> list[dict[str, Any]]:
    """What a search of the hill without NNI tries, one trial after the other."""
    config = SearchConfig(
        task="hill",
        runs=folder,
        study="s",
        storage=default_storage(folder),
        space=hill.SPACE,
        sampler=sampler,
        seed=seed,
        trials=total,
    )
    search = open_search(config, hill.TASK)
    wanted = []
    for trial in search.trials():
        wanted.append(dict(trial.searched))
        lost = hill.fails(trial.searched)
        score = None if lost else Score(hill.loss(trial.searched))
        trial.finish(Outcome(OutcomeKind.FAILED if lost else OutcomeKind.COMPLETED, "", score))
    return wanted
