from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import recorded
from core.files import write_json
from core.params import validate_params


def test_every_point_is_of_the_space_and_the_first_seeds_come_first() -> None:
    runs = list(recorded.runs())
    seeds = Counter(number for number, _, _ in runs)
    assert len(seeds) == recorded.POINTS + 1
    assert sum(count == recorded.SEEDS for count in seeds.values()) >= 8
    assert [seed for _, seed, _ in runs] == sorted(seed for _, seed, _ in runs)
    assert runs == list(recorded.runs())
    drawn = {tuple(values[name] for name in recorded.SPACE.fields) for n, _, values in runs if n}
    assert len(drawn) == recorded.POINTS
    for _, _, values in runs:
        validate_params(recorded.TASK.params, values)


def test_a_curve_that_is_there_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    write_json(tmp_path / "00-0.json", {})
    recorded.train(0, 0, {"width": "nonsense"})
