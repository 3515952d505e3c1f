"""A comparison's page, CSV and JSON: what is told of records, and never more than they say."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.files import write_json
from core.record import EpochLine, Record
from core.report.comparison import Comparison, cautions, headline, read_comparison
from core.report.comparison_page import learning_curve, write_comparison
from core.task import Outcome, OutcomeKind, Score, UserError

SPACE = {
    "rate": {"_type": "loguniform", "_value": [0.0001, 0.1]},
    "weight": {"_type": "uniform", "_value": [0.0, 1.0]},
}
DEFAULTS = {"epochs": 3, "seed": 0, "size": 32, "data_fraction": 1.0, "rate": 0.001, "weight": 0.5}
COST = {
    "parameters": 2_764_737, "parameters_output": 1_378_179, "flops_train_image": 65_470_464.0,
    "flops_translate_image": 3_588_096, "step_ms": 45.3626, "items_per_second": 88.178, "batch": 4,
    "memory_bytes": 42_147_840, "memory_of": "process memory", "hardware": "cpu, 1 threads",
}  # fmt: skip

QUARTILES = ("quartile_1", "median", "quartile_3")
Write = Callable[..., Path]


def keep(folder: Path, task: str, score: float | None, **more: Any) -> None:
    """A record: `score` None left no epoch; a guard in `broken` is violated."""
    record = Record(folder)
    params = {**DEFAULTS, **more.get("params", {})}
    direction = more.get("direction", "maximize")
    record.begin({
        "task": task, "study": folder.parent.name, "number": more.get("number", 0),
        "engine": more.get("engine", "optuna"), "searched": sorted(SPACE), "hardware": "a CPU",
        "objective": {"name": "toy score", "direction": direction}, "params": params,
        "defaults": DEFAULTS, "evaluator": {"accuracy": 0.9}, **more.get("about", {}),
    })  # fmt: skip
    final = None
    if score is not None:
        violations = dict.fromkeys(more.get("broken", ()), 0.5)
        parts = {"style": score / 2, "inputs": 128.0}
        start = 0.1 if direction == "maximize" else 1.0
        values = [start + (score - start) * i / 3 for i in range(1, 3)] + [score]
        lines = [
            EpochLine(i, {"g": 1.0 / i}, Score(value, parts, violations), 2.0, 20.0)
            for i, value in enumerate(values, 1)
        ]
        record.write_epochs(lines)
        final = Score(score, parts, violations)
        for name, turn in (("source", 0), ("target", 90), ("output", int(100 * score))):
            shade = more.get("shade", 0) if name == "source" else 0
            strip = Image.linear_gradient("L").rotate(turn + shade).resize((8 * 16, 16))
            record.pictures.mkdir(exist_ok=True)
            strip.convert("RGB").save(record.pictures / f"{name}.png")
    outcome = more.get("outcome", OutcomeKind.COMPLETED)
    record.end(Outcome(outcome, more.get("reason", ""), final), 3.0)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a comparison `demo`: for each task the final scores of its search's trials.

    `seeds` are the scores with other seeds than the best one's; `data` those at fractions.
    """

    def comparison(
        searches: Mapping[str, Sequence[float | None]],
        seeds: Mapping[str, Sequence[float | None]] | None = None,
        data: Mapping[str, Mapping[float, float | None]] | None = None,
        direction: str = "maximize",
        **more: Any,
    ) -> Path:
        seeds, data = seeds or {}, data or {}
        settings = {
            "tasks": list(searches), "trials": 3,
            "objective": {"name": "toy score", "direction": direction},
            "seeds": 1 + max((len(s) for s in seeds.values()), default=0),
            "data_fractions": sorted({f for some in data.values() for f in some}),
        }  # fmt: skip
        write_json(tmp_path / "demo" / "settings.json", settings)
        for task, scores in searches.items():
            study = tmp_path / f"demo-{task}"
            write_json(study / "study.json", {"task": task, "space": SPACE, "trials": 3})
            told = {"direction": direction, **more.get(task, {})}
            for i, score in enumerate(scores):
                rate = 0.0001 * 10 ** (3 * (i + 1) / (len(scores) + 1))
                params = {"rate": rate, "weight": random.Random(i).random()}
                params |= told.get("params", {})
                failed = {"outcome": OutcomeKind.FAILED} if score is None else {}
                keep(study / f"{i:04}", task, score, **{**failed, **told, "params": params,
                     "number": i})  # fmt: skip
            for i, score in enumerate(seeds.get(task, ()), 1):
                failed = {"outcome": OutcomeKind.DIVERGED} if score is None else {}
                keep(tmp_path / f"demo-{task}-seeds" / f"seed-{i}", task, score, number=i,
                     params={"seed": i}, direction=direction, **failed)  # fmt: skip
            for f, score in data.get(task, {}).items():
                failed = {"outcome": OutcomeKind.DIVERGED} if score is None else {}
                keep(tmp_path / f"demo-{task}-data" / f"fraction-{f}", task, score,
                     direction=direction, **failed)  # fmt: skip
            write_json(tmp_path / "demo" / f"cost-{task}.json", more.get("cost", COST))
        return tmp_path

    return comparison


def read(runs: Path) -> Comparison:
    return read_comparison(runs, "demo")


RICH: dict[str, Any] = {
    "searches": {
        "glyph_autoencoder": [0.42, 0.3, 0.44, 0.41, None, 0.12, 0.39, 0.43],
        "glyph_pix2pix": [0.5, 0.61, 0.59, 0.2, 0.58, None, None, 0.6],
        "glyph_cyclegan": [0.2, 0.3, 0.25, 0.28, 0.1],
        "glyph_gan": [None, None],
    },
    "seeds": {
        "glyph_autoencoder": [0.42, 0.45],
        "glyph_pix2pix": [0.6, 0.58],
        "glyph_cyclegan": [None, 0.31],
    },
    "data": {
        "glyph_autoencoder": {0.1: 0.2, 0.3: 0.35},
        "glyph_pix2pix": {0.1: 0.15, 0.3: 0.5},
        "glyph_cyclegan": {0.1: None, 0.3: 0.2},
    },
}


def test_a_winner_is_named_when_common_seeds_tell_it_apart(write: Write) -> None:
    """The seeds' ranges overlap, but what a seed does to both alike is no doubt."""
    runs = write({"a": [0.4, 0.5], "b": [0.6, 0.7]}, {"a": [0.3, 0.65], "b": [0.51, 0.84]})
    found = read(runs)
    assert headline(found) == (
        "b scores best: 0.683\u00a0±\u00a00.166 over 3 seeds; a comes next with "
        "0.483\u00a0±\u00a00.176 over 3 seeds, a difference of +0.200 (+0.175 to +0.225)."
    )
    assert found.winner == "b"
    a, b = found.entrants
    assert b.scores(b.runs) == [0.7, 0.51, 0.84]
    assert (b.best and b.best.score, b.figures["other_seeds_mean"]) == (0.7, pytest.approx(0.675))
    assert a.figures["seeds_sd"] == pytest.approx(0.1756, abs=1e-4)
    page = write_comparison(runs, "demo").read_text()
    assert "+0.200 (+0.175 to +0.225)" in page


def test_ranges_that_do_not_meet_are_not_enough(write: Write) -> None:
    """Over common seeds the difference is 0.2, 0.21 and 0.01, which may be luck."""
    runs = write({"a": [0.4, 0.5], "b": [0.6, 0.7]}, {"a": [0.45, 0.55], "b": [0.66, 0.56]})
    assert read(runs).winner is None
    assert headline(read(runs)).startswith("b and a cannot be told apart: b 0.640")


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_tasks_that_common_seeds_do_not_tell_apart_share_it(write: Write, direction: str) -> None:
    def score(x: float) -> float:
        return x if direction == "maximize" else 1 - x

    searches = {t: [score(x)] for t, x in (("a", 0.5), ("b", 0.6), ("c", 0.1))}
    again = {"a": [score(0.4), score(0.45)], "b": [score(0.41), score(0.62)]}
    told = read(write(searches, {**again, "c": [score(0.1), score(0.12)]}, direction=direction))
    assert told.winner is None
    assert [e.task for e in told.scored] == ["b", "a", "c"]
    assert told.winners == ["b", "a"]
    line = headline(told)
    assert line.startswith("b and a cannot be told apart: b ")
    assert ("lower is better" in line) == (direction == "minimize")
    assert "Behind: c " in line


def test_one_run_each_names_no_winner(write: Write) -> None:
    told = read(write({"a": [0.1], "b": [0.9]}))
    assert told.winner is None
    assert "b has the best mean, 0.900 over 1 seed; one run each cannot tell" in headline(told)
    assert any("One seed a task" in c for c in cautions(told))
    assert told.entrants[1].figures["seeds_sd"] is None


def test_the_best_mean_with_a_failed_run_is_no_winner(write: Write) -> None:
    told = read(write({"a": [0.1], "b": [0.9]}, {"a": [0.12, 0.11], "b": [0.91, None]}))
    assert told.winner is None
    assert "1 of its 3 runs came to no score, so it cannot be called the best" in headline(told)
    assert any("b: 1 run with another seed" in c and "seed-2 diverged" in c for c in cautions(told))
    other = read(write({"a": [0.1], "b": [0.9]}, {"a": [0.12, None], "b": [0.91, 0.92]}))
    assert other.winner == "b"


@pytest.mark.parametrize(
    ("searches", "more", "line"),
    [
        ({"a": [None], "b": [None, None]}, {}, "No trial of any task completed, so nothing"),
        ({"a": [None], "b": [0.5]}, {}, "Only b came to a score: 0.500 over 1 seed; nothing"),
        ({"a": [], "b": [0.5]}, {}, "No trial of a completed."),
    ],
)
def test_tasks_without_a_score_are_told(
    write: Write, searches: dict[str, list[float | None]], more: dict[str, Any], line: str
) -> None:
    runs = write(searches, **more)
    assert line in headline(read(runs))
    page = write_comparison(runs, "demo").read_text()
    assert "no trial completed" in page
    lines = (runs / "demo" / "compare.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["task", "a", "b"]


def test_a_task_whose_trials_all_break_a_guard_comes_last_and_it_is_said(write: Write) -> None:
    runs = write({"a": [0.9, 0.8], "b": [0.5]}, {"a": [0.9]}, a={"broken": ["pale"]})
    comparison = read(runs)
    assert [e.task for e in comparison.scored] == ["b", "a"], "higher is better, but for the guard"
    assert "No trial of a kept every guard; its best breaks pale" in cautions(comparison)[0]
    assert "0.900 (breaks pale)" in write_comparison(runs, "demo").read_text()


def test_a_guard_decides_before_the_score(write: Write) -> None:
    seeds = {"a": [0.9, 0.91], "b": [0.5, 0.52]}
    runs = write({"a": [0.92], "b": [0.51]}, seeds, a={"broken": ["pale"]})
    for record in (Record(runs / "demo-a-seeds" / f"seed-{i}") for i in (1, 2)):
        line = record.epochs()[-1]
        record.end(
            Outcome(OutcomeKind.COMPLETED, "", Score(line.score.value, {}, {"pale": 1.0})), 1
        )
    found = read(runs)
    assert (found.winner, found.winners) == ("b", ["b"])
    assert "a comes next with 0.910" in headline(found)
    assert headline(found).endswith("over 3 seeds, but breaks the guard pale.")


def test_seeds_that_no_two_tasks_share_name_no_winner(write: Write) -> None:
    runs = write({"a": [0.1], "b": [0.9]}, {"a": [0.11, 0.12], "b": []}, b={"params": {"seed": 7}})
    for seed, score in ((8, 0.91), (9, 0.9)):
        keep(runs / "demo-b-seeds" / f"seed-{seed}", "b", score, params={"seed": seed})
    found = read(runs)
    assert [len(e.runs) for e in found.entrants] == [3, 3]
    assert found.winner is None
    assert headline(found).startswith("b and a cannot be told apart")


def test_shares_of_the_search(write: Write) -> None:
    scores = [0.5, 0.46, 0.44, None, 0.2, 0.1]
    runs = write({"a": scores, "b": [0.5]})
    pruned = {"outcome": OutcomeKind.PRUNED, "number": 6}
    keep(runs / "demo-a" / "0006", "a", 0.49, **pruned)
    keep(runs / "demo-a" / "0007", "a", 0.6, broken=["pale"], number=7)
    keep(runs / "demo-a" / "0008", "a", 0.4, outcome=OutcomeKind.INTERRUPTED, number=8)
    keep(runs / "demo-a" / "0009", "a", 0.4, outcome=OutcomeKind.COLLAPSED, number=9)
    a, b = read(runs).entrants
    assert a.best
    assert a.best.score == 0.5
    assert a.figures["share_near_best"] == pytest.approx(2 / 9), (
        "0.5 and 0.46; the pruned one has no final score"
    )
    assert a.figures["share_failed_or_broken"] == pytest.approx(3 / 9), "failed, collapsed and pale"
    assert a.figures["share_pruned"] == pytest.approx(1 / 9)
    assert tuple(a.figures[name] for name in QUARTILES) == (
        pytest.approx(0.2),
        pytest.approx(0.44),
        pytest.approx(0.46),
    )
    shares = [b.figures[f"share_{name}"] for name in ("near_best", "failed_or_broken", "pruned")]
    assert shares == [1, 0, 0]
    assert [b.figures[name] for name in QUARTILES] == [None] * 3
    assert "10 (1 unfinished)" in write_comparison(runs, "demo").read_text()


def test_only_runs_of_the_task_with_the_wanted_seeds_count(write: Write) -> None:
    runs = write({"a": [0.5], "b": [0.4]}, {"a": [0.52], "b": [0.42]})
    keep(runs / "demo-a-seeds" / "seed-7", "a", 0.9)
    keep(runs / "demo-b-seeds" / "seed-1", "else", 0.9)
    a, b = read(runs).entrants
    assert (a.scores(a.runs), b.scores(b.runs)) == ([0.5, 0.52], [0.4])


def test_a_learning_curve_is_the_mean_of_the_seeds_as_far_as_all_go(write: Write) -> None:
    runs = write({"a": [0.4], "b": [0.1]}, {"a": [0.7]})
    a, _ = read(runs).entrants
    curve = learning_curve(a.runs)
    assert [point[0] for point in curve] == [1, 2, 3]
    assert curve[-1] == (3, 6.0, pytest.approx(0.55), 0.4, 0.7)
    record = Record(runs / "demo-a-seeds" / "seed-1")
    record.write_epochs(record.epochs()[:2])
    assert len(learning_curve(read(runs).entrants[0].runs)) == 2


def test_csv_and_json_hold_every_figure_unrounded(write: Write) -> None:
    third = 1 / 3
    runs = write({"a": [third, 0.2], "b": [0.9]}, {"a": [0.3]}, {"a": {0.1: 0.05, 0.3: None}})
    write_comparison(runs, "demo")
    with (runs / "demo" / "compare.csv").open() as file:
        a, b = csv.DictReader(file)
    assert a["task"] == "a"
    assert float(a["best_score"]) == third
    assert float(a["seeds_mean"]) == (third + 0.3) / 2
    assert float(a["other_seeds_mean"]) == 0.3
    assert float(a["flops_train_image"]) == COST["flops_train_image"]
    assert (a["score_at_0.1"], a["score_at_0.3"], float(a["score_at_1.0"])) == ("0.05", "", third)
    assert (a["seeds_runs"], a["trials"], b["seeds_runs"]) == ("2", "2", "1")
    assert float(a["part_style"]) == third / 2
    told = json.loads((runs / "demo" / "compare.json").read_text())
    assert told["headline"] == headline(read(runs))
    assert told["winner"] is None
    assert told["tasks"][0]["seeds"] == {"0000": third, "seed-1": 0.3}
    assert set(a) - {"score_at_0.1", "score_at_0.3"} <= set(read(runs).entrants[0].figures)


def test_cautions_tell_of_unlike_training_inputs_and_evaluators(write: Write) -> None:
    runs = write(
        {"a": [0.5], "b": [0.6]},
        a={"params": {"epochs": 3, "size": 64}, "about": {"notes": ["2 images were left out."]}},
        b={"params": {"epochs": 9}, "about": {"evaluator": {"accuracy": 0.5, "weak": True}}},
    )
    told = " ".join(cautions(read(runs)))
    assert "not trained alike: epochs 3 (a), 9 (b); size 64 (a), 32 (b)." in told
    assert "different evaluators" in told
    assert "evaluator is weak" in told
    assert "2 images were left out." in told
    assert "Searches of 1 trials see little of spaces of 2 parameters" in told


def pictures(runs: Path) -> list[str]:
    """The labels of the page's rows of pictures."""
    page = write_comparison(runs, "demo").read_text()
    labels = re.findall(r"<figcaption[^>]*><span>(.*?)</span></figcaption>", page)
    return [re.sub("<.*?>", "", label) for label in labels]


def test_pictures_share_inputs_and_targets_where_they_are_the_same(write: Write) -> None:
    assert pictures(write(RICH["searches"])) == [
        "input", "target", "glyph_autoencoder, 0.440", "glyph_pix2pix, 0.610",
        "glyph_cyclegan, 0.300",
    ]  # fmt: skip
    apart = pictures(write({"x": [0.5], "y": [0.6]}, y={"shade": 45}))
    assert {"x: input", "x, 0.500", "y: input", "y, 0.600"} <= set(apart)


def test_a_page_escapes_every_text_and_fetches_nothing(write: Write) -> None:
    nasty = "<script>alert(1)</script> | `$x_$ \ud800"
    about = dict.fromkeys(("command", "machine", "git", "hardware"), nasty)
    about |= {"notes": [nasty], "versions": {nasty: nasty}, "evaluator": {nasty: nasty}}
    told = {"about": about, "params": {nasty: nasty, "size": nasty}, "reason": nasty}
    runs = write({"a": [0.5, None], "b": [0.6]}, a=told, cost={"failed": nasty})
    page = write_comparison(runs, "demo").read_text()
    assert page.count("<script") == 1, "the page's own"
    assert page.count("&lt;script&gt;alert(1)") > 5
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\((?!#)|@import|https?:""", page)
    assert "default-src 'none'" in page
    assert "could not be measured" in page


@pytest.mark.parametrize("text", ["{", '{"params": 3}', '{"parameters": "many", "step_ms": NaN}'])
def test_damaged_costs_and_records_spoil_nothing_else(write: Write, text: str) -> None:
    runs = write({"a": [0.5], "b": [0.6]}, {"a": [0.51], "b": [0.61]})
    (runs / "demo" / "cost-a.json").write_text(text)
    (runs / "demo-a-seeds" / "seed-1" / "trial.json").write_text(text)
    (runs / "demo-b" / "0000" / "samples" / "output.png").write_bytes(b"not")
    page = write_comparison(runs, "demo").read_text()
    assert "not measured" in page
    assert [row.score for row in read(runs).entrants[1].runs] == [0.6, 0.61]


def test_no_comparison_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"demo/settings\.json"):
        write_comparison(tmp_path, "demo")


def test_a_finite_figure_everywhere(write: Write) -> None:
    for entrant in read(write(**RICH)).entrants:
        for name, value in entrant.figures.items():
            assert not isinstance(value, float) or math.isfinite(value), name


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on the PATH")
def test_the_page_is_legible_on_a_phone_and_a_desktop(write: Write) -> None:
    from playwright.sync_api import sync_playwright

    address = write_comparison(write(**RICH), "demo").as_uri()
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        asked: list[str] = []
        trouble: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        assert [url for url in asked if not url.startswith("data:")] == [address]
        for width in (390, 1200):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            for plot in page.locator(".plot svg").all():
                assert plot.bounding_box()["height"] > 150
        assert page.locator(".plot svg").count() == 3
        assert (
            page.locator("img").evaluate_all("all => all.map((i) => i.naturalWidth)") == [128] * 5
        )
        assert page.locator("table").first.locator("tbody tr").count() == 4
        assert trouble == []
        browser.close()
