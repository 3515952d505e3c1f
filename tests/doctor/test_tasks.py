"""The tasks that ship, and NNI experiments of theirs with a fault planted in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from core.device import cores
from core.doctor import tasks
from core.doctor.finding import Finding, Level
from core.task import Task

SPACE = {"lambda_pixel": {"_type": "loguniform", "_value": [1, 300]}}


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, Task], list[Finding]]:
    return tasks.load()


def test_the_tasks_that_ship_are_well(found: tuple[dict[str, Task], list[Finding]]) -> None:
    there, wrong = found
    assert wrong == []
    assert {"cyclegan", "glyph_gan"} <= there.keys()


def check(there: Mapping[str, Task], words: str = "", **changes: Any) -> list[Finding]:
    experiment = {
        "where": "nni_config.yml",
        "task": "glyph_pix2pix",
        "words": ["--threads", "1", "--device", "cpu", *words.split()],
        "directory": "/",
        "concurrency": 1,
        "space": SPACE,
        "space_where": "nni_config.yml: searchSpace",
    }
    return tasks.check_experiment({**experiment, **changes}, there)


def test_a_sound_experiment_is_well(found: tuple[dict[str, Task], list[Finding]]) -> None:
    assert check(found[0], "--size 32 --study mine --runs runs") == []


@pytest.mark.parametrize(
    ("words", "changes", "told"),
    [
        ("", {"task": "glyph_pix2pics"}, "there is no task 'glyph_pix2pics'"),
        ("--sise 32", {}, "unrecognized arguments: --sise 32"),
        ("--size", {}, "--size: expected one argument"),
        ("--size 33", {}, "--size: 33 is refused"),
        ("--data /nowhere", {"task": "cyclegan", "space": None}, "no folder /nowhere"),
        ("--data nowhere", {"task": "cyclegan", "space": None}, "no folder /nowhere"),
        ("", {"space": {}}, "not empty"),
        ("", {"space": {"lamda": {"_type": "choice", "_value": [1]}}}, "no such parameter"),
        ("", {"space": {"dropout": {"_type": "uniform", "_value": [0, 2]}}}, "the task refuses"),
        ("", {"space": {"dropout": {"_type": "beta", "_value": [0, 1]}}}, "unsupported _type"),
        ("--device mps", {}, "--device mps: this machine has none"),
    ],
)
def test_what_would_fail(
    found: tuple[dict[str, Task], list[Finding]], words: str, changes: dict[str, Any], told: str
) -> None:
    (wrong,) = check(found[0], words, **changes)
    assert wrong.level is Level.ERROR
    assert told in wrong.what
    assert "nni_config.yml" in str(wrong)


def test_a_data_folder_of_other_machines_is_not_looked_for(
    found: tuple[dict[str, Task], list[Finding]],
) -> None:
    assert check(found[0], "--data /nowhere", task="cyclegan", space=None, concurrency=0) == []


def test_a_parameter_both_searched_and_set(found: tuple[dict[str, Task], list[Finding]]) -> None:
    (wrong,) = check(found[0], "--lambda-pixel 10")
    assert wrong.level is Level.WARNING
    assert "--lambda-pixel 10 is searched, too" in wrong.what


@pytest.mark.parametrize("threads", [0, 1])
def test_more_threads_than_cores(
    found: tuple[dict[str, Task], list[Finding]], threads: int
) -> None:
    words = f"--threads {threads}"
    fitting = cores() if threads else 1
    assert check(found[0], words, concurrency=fitting) == []
    (wrong,) = check(found[0], words, concurrency=fitting + 1)
    assert wrong.level is Level.WARNING
    assert "trialConcurrency" in wrong.where
    assert f"{fitting + 1} at once" in wrong.what
