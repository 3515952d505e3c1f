"""gantune confirm and --noise-floor, for real: planted luck and planted gains, trained again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from core.commands.confirm import choose_candidates
from core.files import read_json, write_json
from core.params import load_task
from core.record import EpochLine, Record, Study
from core.report.summary import summarize
from core.task import Outcome, OutcomeKind, Score, Task
from tests.conftest import TINY_GLYPHS, Run, smallest

TASK = load_task("glyph_autoencoder")
NOWHERE = Path()
SPACE = {"lr_g": {"_type": "loguniform", "_value": [1e-4, 2e-2]}}


def plant(
    runs: Path, name: str, *trials: dict[str, Any], of: Task = TASK, data: Path = NOWHERE
) -> None:
    """A study whose records claim these scores; what is not given is the baseline's."""
    write_json(runs / name / "study.json", {"task": of.name, "engine": "optuna", "space": SPACE})
    for number, trial in enumerate(trials):
        score = Score(trial.pop("score"), {"inputs": 10.0})
        params = smallest(of, data, **{"epochs": 4, "batch_size": 16, **trial})
        record = Record(runs / name / f"{number:04d}")
        objective = {"name": of.objective.name, "direction": of.objective.direction}
        facts = {"task": of.name, "study": name, "number": number, "engine": "optuna"}
        facts |= {"objective": objective, "searched": ["lr_g"], "params": params.model_dump()}
        record.begin({**facts, "defaults": of.params().model_dump()})
        record.write_epochs([EpochLine(1, {}, score, 1.0, 1.0)])
        record.end(Outcome(OutcomeKind.COMPLETED, "", score), 1.0)


def test_luck_is_found_out(gantune: Run, runs: Path) -> None:
    """One trial is the baseline with another seed, the best one next to it: both had luck."""
    rate = smallest(TASK, NOWHERE).lr_g  # type: ignore[attr-defined]
    lucky = {"score": 0.1, "lr_g": math.nextafter(rate, 1)}
    plant(runs, "lucky", {"score": 0.9}, {"score": 0.5, "seed": 7}, lucky)
    words = ("confirm", "lucky", "--workers", "1", "--seeds")
    done = gantune(*words, "2", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert "cannot be told apart over 2 common seeds. No gain over the baseline" in done.stdout
    message = read_json(runs / "lucky" / "best.json")
    assert message["best"]["trial"] == 2
    assert set(message["winners"]) == {"trial-0002", "baseline", "trial-0001"}
    found = sorted(p.parent.name for p in (runs / "lucky-confirm").glob("*/outcome.json"))
    assert found == [
        f"{name}-seed-{seed}" for name in ("baseline", "trial-0002") for seed in (1, 2)
    ]

    again = gantune(*words, "1")
    assert again.returncode == 0, again.stderr
    assert "lucky-confirm: goes on with all that was asked for before" in again.stdout
    assert "epoch 1/" not in again.stderr, "nothing is left to do, with the epochs of before"


def test_each_configuration_is_tried_once_and_those_of_before_stay(runs: Path) -> None:
    high, low = {"lr_g": 1e-3}, {"lr_g": 1e-4}
    lucky = {"score": 0.1, "seed": 7, **high}
    plant(runs, "twins", {"score": 0.9}, {"score": 0.5, **high}, lucky, {"score": 0.2, **low})
    summary = summarize(Study.open(runs, "twins"))
    first = choose_candidates(TASK, summary, 1, [], {})
    assert list(first.params) == ["trial-0002", "baseline"]
    assert first.same == {"trial-0001": "trial-0002"}
    later = choose_candidates(
        TASK, summary, 1, ["trial-0001", "trial-0003", "baseline"], {"epochs": 9}
    )
    assert list(later.params) == ["trial-0001", "trial-0003", "baseline"]
    assert later.same == {"trial-0002": "trial-0001"}
    assert {params.epochs for params in later.params.values()} == {9}


def test_a_true_gain_is_found_and_the_hopeless_drop_out(gantune: Run, runs: Path) -> None:
    """A rate that learns, and one a hundred times too low whose score is found up."""
    usual = {"score": 0.9, "lr_g": 2e-4}
    plant(runs, "gain", usual, {"score": 0.2, "lr_g": 1e-6}, {"score": 0.5, "lr_g": 1e-2})
    done = gantune("confirm", "gain", "--seeds", "3", "--workers", "1")
    assert done.returncode == 0, done.stderr
    message = read_json(runs / "gain" / "best.json")
    assert message["winners"] == ["trial-0002"]
    assert "Trial 2 wins over 3 common seeds. It beats the baseline by" in message["verdict"]
    assert "Trial 1 drops out: behind with 2 seeds" in done.stdout
    found = sorted(p.parent.name for p in (runs / "gain-confirm").glob("*/outcome.json"))
    assert [name for name in found if "0001" in name] == ["trial-0001-seed-1", "trial-0001-seed-2"]
    assert len(found) == 8

    before = {p: p.stat().st_mtime for p in (runs / "gain-confirm").glob("*/outcome.json")}
    again = gantune("confirm", "gain", "--seeds", "3", "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert {p: p.stat().st_mtime for p in (runs / "gain-confirm").glob("*/outcome.json")} == before

    cut = Record(runs / "gain-confirm" / "trial-0002-seed-3")
    cut.end(Outcome(OutcomeKind.INTERRUPTED, "stopped by SIGINT"), 1.0)
    again = gantune("confirm", "gain", "--seeds", "3", "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert (outcome := cut.outcome())
    assert outcome.kind is OutcomeKind.COMPLETED, "it goes on; its candidate has not gone wrong"
    assert read_json(runs / "gain" / "best.json")["winners"] == ["trial-0002"]


def test_the_holdout_evaluator_sits_an_exam_before_it_confirms(
    gantune: Run, runs: Path, domains: Path
) -> None:
    task = load_task("cyclegan")
    usual, better = {"score": 0.1, "threads": 1}, {"score": 0.2, "lr_g": 1e-3, "threads": 1}
    plant(runs, "painted", usual, better, of=task, data=domains)
    words = ["--seeds", "1", "--epochs", "1", "--workers", "1", "--threads", "1"]
    done = gantune("confirm", "painted", *words)
    assert done.returncode == 0, done.stderr
    assert "exam: passed" in done.stderr
    for seed in ("trial-0001-seed-1", "baseline-seed-1"):
        evaluator = Record(runs / "painted-confirm" / seed).trial()["evaluator"]
        assert evaluator["weights"] == "efficientnet-lite1"
        assert evaluator["exam"]["passed"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "no trial of a study 'none'"),
        (["alone"], "no trial but the baseline has completed yet"),
        (
            ["pair", "--epochs", "9"],
            "'pair-confirm' was set up otherwise (epochs was 1, is now 9); leave --epochs",
        ),
        (["long"], "study 'long' searches epochs, so its trials are of different lengths"),
        (["pair", "--seeds", "0"], "invalid whole number above 0 value: '0'"),
    ],
)
def test_a_mistake_is_one_clear_error(
    gantune: Run, runs: Path, words: list[str], message: str
) -> None:
    plant(runs, "alone", {"score": 0.9})
    plant(runs, "pair", {"score": 0.9}, {"score": 0.1, "lr_g": 1e-3})
    write_json(runs / "pair-confirm" / "confirm.json", {"epochs": 1})
    Record(runs / "pair-confirm" / "baseline-seed-1").begin({})
    plant(runs, "long", {"score": 0.9}, {"score": 0.1, "lr_g": 1e-3})
    space = {**SPACE, "epochs": {"_type": "randint", "_value": [1, 9]}}
    write_json(runs / "long" / "study.json", {"task": TASK.name, "space": space})
    done = gantune("confirm", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.parent.name for p in runs.glob("*-confirm/*/trial.json")] == ["baseline-seed-1"]


def test_the_noise_floor_comes_first_and_is_reported(
    gantune: Run, runs: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps(SPACE))
    words = ["--space", str(space), "--study", "floor", "--trials", "2", "--workers", "1"]
    done = gantune("tune", TASK.name, *TINY_GLYPHS, *words, "--noise-floor", "3")
    assert done.returncode == 0, done.stderr
    seeds = sorted(p.parent.name for p in (runs / "floor-noise").glob("*/outcome.json"))
    assert seeds == ["seed-1", "seed-2"]
    message = read_json(runs / "floor" / "best.json")
    assert message["noise_floor"] > 0
    assert (
        "the published baseline scores" in message["verdict"]
        or "the baseline" in message["verdict"]
    )
    record = Record(runs / "floor-noise" / "seed-1").trial()
    assert record["params"]["seed"] == 1
    assert record["params"]["lr_g"] == TASK.params().lr_g  # type: ignore[attr-defined]
    done = gantune("tune", TASK.name, "--noise-floor", "1")
    assert done.returncode == 2
    assert "invalid number of seeds, two or more, value: '1'" in done.stderr
