"""A sweep as a person runs it, and a grid that is cut short in every way there is."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from core.commands.sweep import grid_space
from core.record import EpochLine, Record, Study
from core.search.config import SearchConfig
from core.search.storage import default_storage
from core.search.study import OptunaTrial, Search, open_search
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task, UserError
from tests.conftest import GANTUNE, ROOT, TINY, Run
from trials.cyclegan import CycleGANParams


def points(runs: Path, study: str, *names: str) -> Counter[tuple[Any, ...]]:
    """How many records there are of each point."""
    records = Study.open(runs, study).records()
    return Counter(tuple(r.trial()["params"][n] for n in names) for r in records)


def test_a_grid_is_swept_reported_and_not_swept_again(
    gantune: Run, domains: Path, runs: Path
) -> None:
    grid = ["--grid", "lr-g=1e-3,1e-2", "flip=true,false", "--study", "grid"]
    words = [
        "sweep",
        "cyclegan",
        "--data",
        domains,
        *TINY,
        "--epochs",
        "1",
        "--workers",
        "1",
        *grid,
    ]
    result = gantune(*words)
    assert result.returncode == 0, result.stderr
    assert "4/4 done" in result.stderr
    expected = set(itertools.product((0.001, 0.01), (True, False)))
    assert points(runs, "grid", "lr_g", "flip") == dict.fromkeys(expected, 1), "no baseline, once"
    page = (runs / "grid" / "report.html").read_text()
    assert page.index(">Pictures<") < page.index(">The grid<") < page.index(">Parameters<")
    assert page.count('<figure class="heat">') == 1
    assert page.count("<svg") == 3 + 5, "curves, losses, the points' losses, and Optuna's own"
    lines = (runs / "grid" / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("trial,lr_g,flip,outcome,score,part.style")
    assert len(lines) == 5

    again = gantune(*words)
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stderr
    changed = gantune(*[w.replace("1e-2", "1e-4") if isinstance(w, str) else w for w in words])
    assert changed.returncode == 2
    assert "study 'grid' was set up otherwise (space was" in changed.stderr
    assert "name a new one by --study" in changed.stderr
    assert len(Study.open(runs, "grid").records()) == 4


def test_ctrl_c_on_a_sweep_costs_no_point_and_repeats_none(
    gantune: Run, domains: Path, runs: Path
) -> None:
    grid = ["--grid", "lr_g=1e-3,1e-2", "seed=0,1", "--study", "cut", "--runs", str(runs)]
    command = [
        GANTUNE,
        "sweep",
        "cyclegan",
        "--data",
        str(domains),
        *TINY,
        "--epochs",
        "2",
        "--workers",
        "1",
        *grid,
    ]
    for cut in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            seen = ""
            for line in process.stderr:
                seen += line
                if "epoch 1/2" in line:  # of the first trial that this process begins
                    break
            process.send_signal(cut)
            seen += process.stderr.read()
        assert process.returncode == (130 if cut is signal.SIGINT else -cut), seen
        assert "Traceback" not in seen
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "trial 0 " not in result.stderr, "the second process has ended it"
    expected = set(itertools.product((0.001, 0.01), (0, 1)))
    records = Study.open(runs, "cut").records()
    found = Counter((r.trial()["params"]["lr_g"], r.trial()["params"]["seed"]) for r in records)
    assert found == dict.fromkeys(expected, 1)
    assert all((e := r.outcome()) and e.kind == "completed" for r in records)
    assert [len(r.epochs()) for r in records] == [2] * 4
    study = optuna.load_study(study_name="cut", storage=default_storage(runs))
    assert Counter(t.state for t in study.trials) == {TrialState.COMPLETE: 4, TrialState.FAIL: 2}


def test_help_shows_the_tasks_parameters(gantune: Run) -> None:
    text = " ".join(gantune("sweep", "cyclegan", "--help").stdout.split())
    assert "--lambda-cycle 0..1000" in text
    assert "NAME=VALUE,VALUE" in text
    assert "weight of the cycle losses" in text


def test_a_mistake_ends_the_command_before_anything_is_written(gantune: Run, runs: Path) -> None:
    before = sorted(runs.iterdir())
    result = gantune("sweep", "cyclegan", "--grid", "lr_g=1e-4,none")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [result.stderr.strip()]
    assert "--lr-g: 'none' is refused" in result.stderr
    assert sorted(runs.iterdir()) == before


MISTAKES: list[tuple[list[str], dict[str, str], str]] = [
    ([], {}, r"--grid: names no parameter.*--grid lr_g=1e-5,1e-4 seed=0,1,2"),
    (["lr_g"], {}, r"--grid lr_g: must be NAME=VALUE,VALUE"),
    (["=1"], {}, r"--grid =1: must be NAME=VALUE,VALUE"),
    (["lr_g="], {}, r"a value of lr_g is empty"),
    (["lr_g=1e-4,,1e-3"], {}, r"a value of lr_g is empty"),
    (["lr_g=1e-4,x"], {}, r"--lr-g: 'x' is refused .*it takes >0..1"),
    (["lr_g=1e-4,2"], {}, r"--lr-g: '2' is refused .*less than or equal to 1.*it takes >0..1"),
    (["batch_size=8,1.5"], {}, r"--batch-size: '1.5' is refused"),
    (["norm=instance,spectral"], {}, r"--norm: 'spectral' is refused"),
    (["size=64,66"], {}, r"--size 66: must be a multiple of 4"),
    (["lr=1e-4"], {}, r"--grid lr=1e-4: no such parameter as 'lr'; there are allow_unsound"),
    (["lr_g=1e-4", "lr_g=1e-3"], {}, r"lr_g is in the grid twice"),
    (["lr_g=1e-4", "lr-g=1e-3"], {}, r"lr_g is in the grid twice"),
    (["lr_g=1e-4,1e-4"], {}, r"--grid lr_g: 1e-4 is in the grid twice"),
    (["lr_g=1e-4,0.0001"], {}, r"--grid lr_g: 1e-4 = 0.0001 is in the grid twice"),
    (["flip=true,1"], {}, r"--grid flip: true = 1 is in the grid twice"),
    (["lr_g=1e-4"], {"lr_g": "1e-3"}, r"--lr-g 1e-3: --grid sweeps it; drop the flag or lr_g"),
    (["lr_g=1e-4"], {"width": "two"}, r"^--width: 'two' is refused"),
    (
        ["seed=" + ",".join(map(str, range(101))), "epochs=" + ",".join(map(str, range(1, 101)))],
        {},
        r"--grid: 101 seed x 100 epochs are 10100 points, above 10000; leave values out",
    ),
]


@pytest.mark.parametrize(("words", "fixed", "complaint"), MISTAKES)
def test_a_mistaken_grid_is_one_clear_error(
    words: list[str], fixed: dict[str, str], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        grid_space(words, CycleGANParams, fixed)
    assert "\n" not in str(caught.value)


def test_values_have_the_fields_types_in_the_grids_order() -> None:
    words = ["lr_g=1e-3,1e-5", "batch_size=40,8", "flip=no,yes", "norm=group,batch", "seed=2,0"]
    space = grid_space(words, CycleGANParams, {"size": "64"})
    assert json.loads(json.dumps(space.source)) == {
        "lr_g": {"_type": "choice", "_value": [0.001, 1e-05]},
        "batch_size": {"_type": "choice", "_value": [40, 8]},
        "flip": {"_type": "choice", "_value": [False, True]},
        "norm": {"_type": "choice", "_value": ["group", "batch"]},
        "seed": {"_type": "choice", "_value": [2, 0]},
    }


# The engine without training: a trial is cut short at every moment it can be.


class HillParams(Params):
    x: float = 0.25


WORDS = ["x=0.1,0.2,0.3", "seed=0,1"]
POINTS = set(itertools.product((0.1, 0.2, 0.3), (0, 1)))


def grid_search(runs: Path) -> Search:
    def unused(*_: Any) -> Any:
        raise AssertionError("an engine neither loads nor trains")

    objective = Objective("height", "maximize", 0.0)
    task = Task("hill", "a hill", HillParams, unused, unused, unused, objective)
    config = SearchConfig(
        task="hill",
        runs=runs,
        study="s",
        storage=default_storage(runs),
        space=grid_space(WORDS, HillParams, {}).source,
        sampler="grid",
        trials=len(POINTS),
    )
    return open_search(config, task)


def end(trial: OptunaTrial, outcome: OutcomeKind = OutcomeKind.COMPLETED) -> tuple[float, int]:
    record = Record(trial.workdir)
    record.begin({"number": trial.number})
    score = Score(trial.params.x)  # type: ignore[attr-defined]
    record.write_epochs([EpochLine(1, {}, Score(score.value), 1.0, 1.0)])
    trial.report(1, score)
    outcome = Outcome(outcome, "", score)
    record.end(outcome, 1.0)
    trial.finish(outcome)
    return trial.params.x, trial.params.seed  # type: ignore[attr-defined]


def sweep_on(runs: Path) -> list[tuple[float, int]]:
    return [end(trial) for trial in grid_search(runs).trials()]


def test_every_point_is_run_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    order = sweep_on(tmp_path / "a")
    assert Counter(order) == dict.fromkeys(POINTS, 1)
    assert sweep_on(tmp_path / "b") == order, "the same in every run"
    assert sweep_on(tmp_path / "a") == []


@pytest.mark.parametrize("cuts", [(0,), (5,), (0, 2), (1, 2, 6, 7)], ids=str)
def test_interrupted_points_are_run_to_their_end_once(tmp_path: Path, cuts: Sequence[int]) -> None:
    ends: list[tuple[float, int]] = []
    cut: dict[int, tuple[float, int]] = {}
    for _ in range(20):
        for trial in grid_search(tmp_path).trials():
            if trial.number in cuts and trial.number not in cut:
                cut[trial.number] = end(trial, OutcomeKind.INTERRUPTED)
                break
            point = end(trial)
            if trial.number in cut:
                assert point == cut[trial.number], "the same point in the same folder"
            ends.append(point)
        else:
            break
    assert Counter(ends) == dict.fromkeys(POINTS, 1)
    assert list(cut) == [n for n in cuts if n in cut]
    assert cut


def _no_grid_id(search: Search) -> None:
    """As when the process dies before the sampler has said which point."""
    storage = search.study._storage
    storage.create_new_trial(search.study._study_id)


def _no_values(search: Search) -> None:
    """As when it dies before a value is drawn."""
    search.ask([])


def _half_the_values(search: Search) -> None:
    trial = search.ask([])
    (dimension, *_) = search.space.dimensions
    trial.suggest_categorical(dimension.name, dimension.args)


@pytest.mark.parametrize("die", [_no_grid_id, _no_values, _half_the_values])
@pytest.mark.parametrize("after", [0, 2, 5])
def test_a_process_killed_while_it_asks_loses_no_point(
    tmp_path: Path, die: Callable[[Search], None], after: int
) -> None:
    search = grid_search(tmp_path)
    ends = [end(t) for t in itertools.islice(search.trials(), after)]
    for _ in range(2):  # the second time a queued trial is lost in the same way
        search = grid_search(tmp_path)
        search.take_up()
        die(search)
    ends += sweep_on(tmp_path)
    assert Counter(ends) == dict.fromkeys(POINTS, 1)
    states = Counter(t.state for t in grid_search(tmp_path).study.trials)
    assert states == {TrialState.COMPLETE: 6, TrialState.FAIL: 2}


def test_two_workers_share_the_grid(tmp_path: Path) -> None:
    workers = [grid_search(tmp_path).trials() for _ in range(2)]
    first = next(workers[0])
    with Record(first.workdir).running():
        record = Record(first.workdir)
        record.begin({"number": first.number})
        ends = [end(trial) for trial in workers[1]]
    ends.append(end(first))
    assert next(workers[0], None) is None
    assert Counter(ends) == dict.fromkeys(POINTS, 1)


def test_a_point_that_failed_or_diverged_is_not_tried_again(tmp_path: Path) -> None:
    kinds = itertools.cycle([OutcomeKind.FAILED, OutcomeKind.DIVERGED, OutcomeKind.COMPLETED])
    trials = grid_search(tmp_path).trials()
    ends = [end(trial, kind) for trial, kind in zip(trials, kinds, strict=False)]
    assert Counter(ends) == dict.fromkeys(POINTS, 1)
    assert sweep_on(tmp_path) == []
