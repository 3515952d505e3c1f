"""What a sweep's report says of its grid: maps, curves, words and CSV."""

from __future__ import annotations

import csv
import itertools
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import core.report
from core.files import read_json, write_json
from core.record import Study
from core.report import write_report
from core.report.cautions import cautions
from core.report.summary import summarize
from core.report.sweep import sweep_grid
from core.task import OutcomeKind

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Axes = Mapping[str, list[Any]]
Sweep = Callable[..., Study]


@pytest.fixture
def sweep(make: Any, made: Any) -> Sweep:
    """Write the sweep of a grid; `score(point)` is a score, or an outcome without one."""

    def build(axes: Axes, score: Callable[..., Any], **how: Any) -> Study:
        trials = []
        about = {"searched": sorted(axes)}
        for values in itertools.product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            result = score(**point)
            if result == "missing":
                continue
            if isinstance(result, OutcomeKind):
                trials.append(made(None, point, result, about=about))
            else:
                trials.append(made(result, point, about=about, violations=how.get("violations")))
        space = {name: {"_type": "choice", "_value": v} for name, v in axes.items()}
        study: Study = make(trials, space=space, direction=how.get("direction", "maximize"))
        write_json(study.folder / "study.json", {**study.about, "sampler": "grid"})
        return Study.open(study.folder.parent, study.name)

    return build


def cells(study: Study) -> dict[tuple[str, str, str], list[str]]:
    """Each heat map of the page as text: (parameter down, its value, heads) -> cells."""
    page = write_report(study).read_text()
    found = {}
    for table in re.findall(r'<figure class="heat">(.*?)</figure>', page, re.DOTALL):
        down = re.findall(r"<code>(.*?)</code>", table)[0]
        heads = re.search(r"<thead>(.*?)</thead>", table, re.DOTALL)
        assert heads
        names = re.findall(r"<th [^>]*>(.*?)</th>", heads[1])[1:]
        across = " ".join(re.sub("<.*?>", "", n).strip() for n in names)
        for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", table, re.DOTALL):
            value, *rest = re.split(r"</th>|</td>", row)
            found[down, value, across] = [
                re.sub(r"<.*?>", " ", cell).strip() for cell in rest if "<td" in cell
            ]
    return found


def test_two_parameters_are_a_map_with_the_spread_over_seeds(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0, 4.0], "rate": [0.01, 0.001], "seed": [0, 1, 2]}

    def score(weight: float, rate: float, seed: int) -> float:
        return weight / 10 + (rate == 0.001) * 0.3 + seed / 100

    shown = cells(study := sweep(axes, score))
    head = "rate 0.01 0.001"
    assert list(shown) == [("weight", "1", head), ("weight", "2", head), ("weight", "4", head)]
    assert shown["weight", "1", head] == ["0.110  0.100 to 0.120", "0.410  0.400 to 0.420"]
    assert shown["weight", "4", head][1] == "0.710   best  0.700 to 0.720"
    page = (study.folder / "report.html").read_text()
    assert page.count('class="star"') == 1
    assert "the mean over 3 seeds" in page
    assert "Best mean: 0.710 (0.700 to 0.720) over 3 seeds, at weight 4, rate 0.001." in page
    grid = _grid(study)
    (heat,) = grid.maps.values()
    assert [list(map(grid.shade, row)) for row in heat] == [[0, 4], [1, 5], [4, 8]]
    assert grid.scale == (pytest.approx(0.11), pytest.approx(0.71))
    notes = " ".join(cautions(grid.summary))
    assert "Compare the means over 3 seeds" in notes
    assert "the noise has not been measured" not in notes


def test_where_less_is_better_the_least_is_best_and_strongest(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0], "rate": [0.01, 0.1]}
    study = sweep(axes, lambda weight, rate: weight + rate, direction="minimize")
    grid = _grid(study)
    assert grid.order[0].values == {"weight": 1.0, "rate": 0.01}
    (heat,) = grid.maps.values()
    assert grid.ranked(itertools.chain(*heat))[0] is heat[0][0]
    assert grid.shade(heat[0][0]) == 8
    assert grid.shade(heat[1][1]) == 0
    assert "Best: 1.010 over 1 seed, at weight 1, rate 0.01." in grid.sentences
    assert "the noise has not been measured" in " ".join(cautions(grid.summary))


def test_three_parameters_are_a_map_a_pair_over_all_else(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0], "rate": [0.1, 0.2], "width": [8, 16]}
    shown = cells(sweep(axes, lambda weight, rate, width: weight / 10 + rate + width / 100))
    assert {(down, head) for down, _, head in shown} == {
        ("weight", "rate 0.1 0.2"), ("weight", "width 8 16"), ("rate", "width 8 16")
    }  # fmt: skip
    assert shown["rate", "0.1", "width 8 16"][0] == "0.330  0.280 to 0.380"
    assert shown["rate", "0.2", "width 8 16"] == ["0.430  0.380 to 0.480",
                                                 "0.510   best  0.460 to 0.560"]  # fmt: skip


def test_a_failure_is_shown_as_such_and_never_as_a_number(sweep: Sweep) -> None:
    results = {
        (1.0, 0): 0.5, (1.0, 1): 0.7, (2.0, 0): OutcomeKind.DIVERGED, (2.0, 1): 0.9,
        (3.0, 0): OutcomeKind.DIVERGED, (3.0, 1): OutcomeKind.OUT_OF_MEMORY, (4.0, 0): 0.6,
        (4.0, 1): "missing",
    }  # fmt: skip
    axes = {"weight": [1.0, 2.0, 3.0, 4.0], "rate": [0.1], "seed": [0, 1]}
    study = sweep(axes, lambda weight, rate, seed: results[weight, seed])
    shown = {value: cell for (_, value, _), (cell,) in cells(study).items()}
    assert shown == {
        "1": "0.600   best  0.500 to 0.700",
        "2": "0.900  1 diverged",
        "3": "1 diverged, 1 out of memory",
        "4": "0.600  1 not run",
    }, "a lucky half of a point is not the best"
    page = (study.folder / "report.html").read_text()
    assert page.count('<td class="empty">') == 1
    assert "Next: 0.900 over 1 seed (1 diverged), at weight 2" in page


def test_a_diverged_trials_last_score_counts_nowhere(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0], "rate": [0.1, 0.2]}
    study = sweep(axes, lambda weight, rate: weight * rate)
    outcome = study.folder / "0003" / "outcome.json"
    write_json(outcome, {**read_json(outcome), "outcome": "diverged", "reason": "nan"})
    assert cells(study)["weight", "2", "rate 0.1 0.2"] == ["0.200   best", "diverged"]
    (row,) = [r for r in table(study) if r["trial"] == "3"]
    assert (row["outcome"], row["score"], row["part.style"]) == ("diverged", "", "")


def test_a_broken_guard_does_not_count(sweep: Sweep) -> None:
    axes = {"weight": [1.0], "rate": [0.1, 0.2]}
    study = sweep(axes, lambda weight, rate: 0.5)
    outcome = study.folder / "0001" / "outcome.json"
    told = read_json(outcome)
    score = {**told["score"], "violations": {"copying": 0.2}}
    write_json(outcome, {**told, "score": score})
    ((kept,), (lost,)) = cells(study).values()
    assert (kept.split()[0], lost) == ("0.500", "broke a guard")


def test_one_parameter_is_a_curve(sweep: Sweep) -> None:
    axes = {"weight": [0.1, 1.0, 10.0], "seed": [0, 1]}

    def score(weight: float, seed: int) -> Any:
        return OutcomeKind.DIVERGED if weight == 10 else weight / 2 + seed / 10

    page = write_report(sweep(axes, score)).read_text()
    assert 'class="heat"' not in page
    (figure,) = re.findall(r'aria-label="toy score against weight, 2 seeds a point.*?</svg>', page)
    texts = re.findall(r"<text[^>]*>(.*?)</text>", figure)
    for text in ("0.1", "1", "10", "weight", "toy score", "mean", "2 diverged"):
        assert text in texts, text


def test_seeds_alone_measure_the_noise(sweep: Sweep) -> None:
    study = sweep({"seed": [0, 1, 2]}, lambda seed: 0.5 + seed / 10)
    page = write_report(study).read_text()
    assert "Over 3 seeds: mean 0.600 (0.500 to 0.700), standard deviation 0.100." in page
    assert "toy score against seed;" in page


def rows(study: Study) -> dict[str, list[str]]:
    """The table of the best points: label -> mean, the best is better by, winner set."""
    page = write_report(study).read_text()
    table = page[page.index("The best points, over common seeds") :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("</tr>")[:-1]]
    return {label: values for label, *values in cells}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_points_with_common_seeds_have_a_winner_set(sweep: Sweep, direction: str) -> None:
    means = {1.0: 0.50, 2.0: 0.51, 4.0: 0.80}
    jitter = {(1.0, 0): 0.02, (2.0, 1): 0.02, (4.0, 2): 0.02}

    def score(weight: float, seed: int) -> float:
        return means[weight] + seed + jitter.get((weight, seed), 0.0)

    study = sweep({"weight": [1.0, 2.0, 4.0], "seed": [0, 1, 2]}, score, direction=direction)
    grid, shown = _grid(study), rows(study)
    assert grid.paired.freedom == 4
    if direction == "maximize":
        assert [p.label for p in grid.winners] == ["weight 4"], "seeds favour none"
        assert shown["weight 4"] == ["1.807", "", "yes"]
        assert [values[2] for values in shown.values()] == ["yes", "no", "no"]
        assert shown["weight 2"][1].startswith("+0.290 (+0.2")
        assert "It is better than every other point whose trials all count" in grid.sentences[1]
        assert "; the best is better by +0.290" in grid.sentences[2]
    else:
        assert {p.label for p in grid.winners} == {"weight 1", "weight 2"}
        assert grid.sentences[1].startswith("It cannot be told apart from weight 2 (sim")
        assert [values[2] for values in shown.values()] == ["yes", "yes", "no"]


def test_points_that_look_alike_are_not_mixed_up(sweep: Sweep) -> None:
    """Their values agree to four digits."""
    axes = {"weight": [0.123456, 0.123457], "seed": [0, 1, 2]}
    study = sweep(axes, lambda weight, seed: (weight == 0.123457) + seed * (1 + weight / 1000))
    grid = _grid(study)
    assert len(grid.paired.names) == 2
    assert [p.values["weight"] for p in grid.winners] == [0.123457]


def test_one_run_a_point_tells_no_difference_from_luck(sweep: Sweep) -> None:
    study = sweep({"weight": [1.0, 2.0]}, lambda weight: weight)
    assert "One run a point tells no difference from luck" in " ".join(_grid(study).sentences)
    assert "The best points" not in write_report(study).read_text()


def test_all_points_failed_and_the_grid_is_still_shown(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0], "rate": [0.1, 0.2]}
    study = sweep(axes, lambda weight, rate: OutcomeKind.FAILED)
    assert set(map(tuple, cells(study).values())) == {("failed", "failed")}
    assert '<h2 id="grid">The grid</h2>' in (study.folder / "report.html").read_text()
    assert "Losses at each point" not in (study.folder / "report.html").read_text()


def test_another_study_has_no_grid(make: Any, made: Any) -> None:
    study = make([made(0.5), made(0.6, {"weight": 2.0})])
    page = write_report(study).read_text()
    assert "The grid" not in page
    assert not (study.folder / "sweep.csv").exists()


def test_a_space_that_cannot_be_read_spoils_nothing(sweep: Sweep) -> None:
    study = sweep({"weight": [1.0, 2.0]}, lambda weight: weight)
    write_json(study.folder / "study.json", {**study.about, "space": {"weight": 3}})
    page = write_report(Study.open(study.folder.parent, study.name)).read_text()
    assert "The grid" not in page


def test_a_baseline_added_by_hand_is_no_point_of_the_grid(sweep: Sweep, made: Any) -> None:
    study = sweep({"weight": [1.0, 2.0]}, lambda weight: weight / 10)
    trial = read_json(study.folder / "0000" / "trial.json")
    record = study.folder / "by-hand"
    (study.folder / "0001").rename(record)
    write_json(record / "trial.json", {**trial, "engine": "standalone", "searched": []})
    grid = _grid(study)
    assert [p.trouble for p in grid.points] == ["", "not run"]


def table(study: Study) -> list[dict[str, str]]:
    write_report(study)
    with (study.folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_a_row_a_trial(sweep: Sweep) -> None:
    axes = {"weight": [1.0, 2.0], "epochs": [2], "seed": [0, 1]}
    study = sweep(axes, lambda weight, epochs, seed: weight / 3 if seed else OutcomeKind.FAILED)
    rows = table(study)
    assert list(rows[0]) == [
        "trial", "weight", "epochs", "seed", "outcome", "score", "part.style", "part.inputs",
        "loss.g", "loss.d", "epochs_trained", "seconds",
    ]  # fmt: skip
    assert [r["outcome"] for r in rows] == ["failed", "completed"] * 2
    failed, done = rows[2:]
    assert (failed["weight"], failed["score"], failed["epochs_trained"]) == ("2.0", "", "0")
    assert float(done["score"]) == 2 / 3, "exact"
    assert (done["loss.g"], done["epochs_trained"], done["seconds"]) == ("0.8", "2", "3.0")


def validate(study: Study) -> None:
    """Give every trial a loss that is measured on validation data too."""
    for record in study.records():
        lines = [
            replace(
                e,
                losses={**e.losses, "fixed_l1": 0.3},
                score=replace(e.score, parts={**e.score.parts, "fixed_l1": 0.4}),
            )
            for e in record.epochs()
        ]
        record.write_epochs(lines)


def test_training_and_validation_losses_share_a_plot(make: Any, made: Any) -> None:
    study = make([made(0.5), made(0.6, {"weight": 2.0})])
    page = write_report(study).read_text()
    assert "validation data." not in page, "nothing is dashed where nothing was measured"
    validate(study)
    page = write_report(study).read_text()
    for who in ("the best trial", "the baseline"):
        (figure,) = re.findall(rf'aria-label="Losses of {who}\. Solid: on training.*?</svg>', page)
        texts = re.findall(r"<text[^>]*>(.*?)</text>", figure)
        assert {"fixed_l1, training", "fixed_l1, validation", "g", "d"} <= set(texts)
        paths = re.findall(r'<path d="[^"]*" clip-path[^>]*style="([^"]*)"', figure)
        lines = [path for path in paths if "series" in path]
        dashed = [line for line in lines if "dasharray" in line]
        assert len(lines) == 4
        assert len(dashed) == 1
        colour = re.search(r"var\(--series-\d\)", dashed[0])
        assert colour
        assert sum(colour[0] in line for line in lines) == 2, "the same colour"


def test_the_losses_of_the_best_points_are_panels_of_one_figure(sweep: Sweep) -> None:
    axes = {"weight": [float(w) for w in range(14)], "seed": [0, 1]}
    study = sweep(axes, lambda weight, seed: OutcomeKind.FAILED if weight == 13 else weight)
    validate(study)
    losses = _grid(study).plots["losses"]
    page = write_report(study).read_text()
    assert losses in page
    texts = re.findall(r"<text[^>]*>(.*?)</text>", losses)
    titles = [text for text in texts if text.startswith("weight ")]
    assert len(titles) == 12, "the best ones"
    assert titles[:2] == ["weight 12: 12", "weight 11: 11"]
    assert {"g", "d", "fixed_l1, training", "fixed_l1, validation"} <= set(texts)
    panels = re.split(r'<g id="grid_losses-axes_\d+">', losses)[1:]
    assert len(panels) == 12
    lines = re.findall(r'<path d="[^"]*" clip-path[^>]*style="([^"]*)"', panels[0])
    drawn = [line for line in lines if "series" in line]
    assert len(drawn) == 2 * 4, "three losses and a validation loss, a line a seed"
    assert sum("dasharray" in line for line in drawn) == 2


def test_names_and_values_are_escaped(sweep: Sweep) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    axes = {nasty: [nasty, "b"], "rate": [0.1, 0.2]}
    page = write_report(sweep(axes, lambda **point: 0.5)).read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("scheme", [0, 1])
def test_cells_can_be_read_and_shades_are_evenly_spaced(scheme: int) -> None:
    """4.5 to 1 for the number on each shade; equal steps of OKLab lightness."""
    style = (Path(core.report.__file__).parent / "templates" / "style.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    lights = []
    for i in range(9):
        shade = linear(colours[f"heat-{i}"])
        text = linear(colours["on-high" if i > 4 else "on-low"])
        assert contrast(shade, text) >= 4.5, i
        lights.append(lightness(shade))
    steps = [b - a for a, b in itertools.pairwise(lights)]
    assert max(steps) - min(steps) < 0.01
    assert (sum(steps) < 0) == (scheme == 0), "away from the paper in both schemes"


def linear(colour: str) -> list[float]:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def contrast(a: list[float], b: list[float]) -> float:
    dark, light = sorted(0.2126 * r + 0.7152 * g + 0.0722 * blue for r, g, blue in (a, b))
    return (light + 0.05) / (dark + 0.05)


def lightness(rgb: list[float]) -> float:
    """L of OKLab (Ottosson 2020)."""
    r, g, b = rgb
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short


def _grid(study: Study) -> Any:
    grid = sweep_grid(summarize(study))
    assert grid is not None
    return grid


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_a_large_grid_fits_a_phone(sweep: Sweep) -> None:
    from playwright.sync_api import sync_playwright

    axes = {"weight": [float(w) for w in range(12)], "rate": [i / 100 for i in range(11)]}
    address = write_report(sweep(axes, lambda weight, rate: weight * rate)).as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, scheme in ((390, "light"), (1200, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            trouble: list[str] = []
            page.on("console", lambda message, trouble=trouble: trouble.append(message.text))
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            losses = page.locator("figure", has_text="Mean of each epoch").locator("svg")
            assert 300 < losses.bounding_box()["width"] < 700
            assert losses.locator("text").first.bounding_box()["height"] > 9
            grounds = page.locator(".heat td[style]").evaluate_all(
                "all => all.map((cell) => getComputedStyle(cell).backgroundColor)"
            )
            assert len(set(grounds)) == 9
            assert trouble == []
        browser.close()
