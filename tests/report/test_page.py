"""What lies in report.html, report.md and best.json."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import core.report
from core.record import Study
from core.report import write_report
from core.report.drawing import draw
from core.report.format import code, markdown
from core.report.page import best_json
from core.report.summary import summarize
from core.task import OutcomeKind

NASTY = "<script>alert(1)</script> | `$x_$ \ud800 **bold**"


@pytest.fixture
def nasty(make: Any, made: Any) -> Study:
    """A study whose every text is an attack."""
    about = {
        "hardware": NASTY, "command": NASTY, "machine": NASTY, "git": NASTY, "notes": [NASTY],
        "objective": {"name": NASTY, "direction": "maximize"},
        "evaluator": {"accuracy": 0.9, "confusion": {NASTY: {NASTY: 3}}},
        "versions": {NASTY: NASTY},
    }  # fmt: skip
    trials = [
        made(0.4, {"other": NASTY}, about=about),
        made(0.6, {"weight": NASTY, NASTY: NASTY}, about=about),
        made(None, {"weight": 2.0}, OutcomeKind.FAILED, reason=NASTY),
    ]
    study: Study = make(trials)
    line = (study.folder / "0001" / "epochs.jsonl").read_text()
    line = line.replace('"g"', json.dumps(NASTY)).replace('"d"', '"_$"')
    (study.folder / "0001" / "epochs.jsonl").write_text(line)
    return study


def test_every_text_is_escaped(nasty: Study) -> None:
    page = write_report(nasty).read_text()
    assert re.findall(r"<script\b.*", page) == [f"<script>{_sort()[0]}"]
    assert page.count("&lt;script&gt;alert(1)") > 12
    text = (nasty.folder / "report.md").read_text()
    outside_code = re.sub(r"^(```+)\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside_code
    rows = [line for line in text.splitlines() if line.startswith("| weight |")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5


def _sort() -> list[str]:
    return (Path(core.report.__file__).parent / "templates" / "sort.js").read_text().splitlines()


def test_a_command_in_a_sentence_is_code(make: Any, made: Any) -> None:
    page = write_report(make([made(0.4), made(0.6, {"weight": 2.0})])).read_text()
    assert re.search("<code>gantune confirm [^<`]+</code> trains the best", page)


def test_nothing_is_fetched(make: Any, made: Any) -> None:
    page = write_report(make([made(0.5)])).read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\((?!#)|@import|//""", page)
    assert "default-src 'none'" in page


def test_best_json(make: Any, made: Any) -> None:
    trials = [made(0.4), made(0.6, {"weight": 2.0}), made(0.1, {"rate": 0.1}, OutcomeKind.PRUNED)]
    study = make(trials)
    write_report(study)
    best = json.loads((study.folder / "best.json").read_text())
    assert (best["task"], best["study"]) == ("toy", "demo")
    assert best["objective"] == {"name": "toy score", "direction": "maximize"}
    assert best["best"]["trial"] == 1
    assert best["best"]["score"] == 0.6
    assert best["best"]["parts"] == {"style": 0.6, "inputs": 120.0}
    assert best["best"]["params"]["width"] == 64
    assert best["best"]["searched"] == {"weight": 2.0, "rate": 0.001}
    assert best["baseline"]["trial"] == 0
    assert best["gain"] == pytest.approx(0.2)
    assert best["trials"] == {"completed": 2, "pruned": 1}
    assert best["provenance"]["git"] == "c0ffee"
    assert best["provenance"]["hardware"] == "a CPU"


def test_without_a_completed_trial(make: Any, made: Any) -> None:
    study = make([made(None, {"weight": 2.0}, OutcomeKind.FAILED, "no memory for you")])
    page = write_report(study).read_text()
    assert "No trial\xa0has completed, so there is no best" in page
    assert "no memory for you" in page
    best = json.loads((study.folder / "best.json").read_text())
    assert (best["best"], best["baseline"], best["gain"]) == (None, None, None)
    assert "No trial has completed" in (study.folder / "report.md").read_text()


def test_where_time_was_over_first_the_furthest_trials_compete(make: Any, made: Any) -> None:
    pruned, interrupted = OutcomeKind.PRUNED, OutcomeKind.INTERRUPTED
    long = {"epochs": 6}
    study = make([made(0.2, long, pruned), made(0.4, {**long, "weight": 2.0}, interrupted)])
    further = study.records()[0].epochs()
    study.records()[0].write_epochs([*further, replace(further[-1], epoch=3)])
    write_report(study)
    verdict = json.loads((study.folder / "best.json").read_text())["verdict"]
    assert verdict.startswith("No trial has come to its last epoch. ")
    assert verdict.endswith("came furthest, trial 0, scored 0.200 after 3 of 6 epochs.")


def test_the_best_is_trained_again_with_what_is_not_default(make: Any, made: Any) -> None:
    odd = {"weight": -1e-5, "width": 8, "name": "it's; rm -rf", "flip": False}
    text = (write_report(make([made(0.5, odd)])).parent / "report.md").read_text()
    command = next(line for line in text.splitlines() if line.startswith("python -m"))
    words = ["python", "-m", "trials.toy", "--weight=-1e-05", "--width", "8"]
    assert shlex.split(command) == [*words, "--name", "it's; rm -rf", "--flip", "false"]


def test_a_missing_baseline_comes_with_the_command_for_it(make: Any, made: Any) -> None:
    trial = made(0.5, {"weight": 2.0, "epochs": 7, "width": 8})
    study = make([trial], engine="nni", space=None, name="nni-abc")
    text = (write_report(study).parent / "report.md").read_text()
    command = f"python -m trials.toy --runs {study.folder.parent} --study nni-abc --trial baseline"
    assert f"{command} --epochs 7 --width 8\n" in text


def test_damaged_pictures_are_left_out(make: Any, made: Any) -> None:
    study = make([made(0.4), made(0.6, {"weight": 2.0})])
    (study.folder / "0001" / "samples" / "output.png").write_bytes(b"\x89PNG\r\n\x1a\nnot")
    page = write_report(study).read_text()
    assert re.findall(r'alt="(.*?):', page) == ["input", "baseline"]


def test_what_the_outputs_should_be_is_shown_where_it_is_known(make: Any, made: Any) -> None:
    study = make([made(0.4), made(0.6, {"weight": 2.0})])
    outputs = study.folder / "0001" / "samples"
    (outputs / "target.png").write_bytes((outputs / "source.png").read_bytes())
    page = write_report(study).read_text()
    assert re.findall(r'alt="(.*?):', page) == ["input", "target", "best", "baseline"]


def test_any_pictures_are_shown_or_none(make: Any, made: Any) -> None:
    study = make([made(0.4), made(0.6, {"weight": 2.0})])
    for trial in ("0000", "0001"):
        samples = study.folder / trial / "samples"
        (samples / "hidden_map.png").write_bytes((samples / "source.png").read_bytes())
    Image.new("RGB", (900, 500)).save(study.folder / "0001" / "samples" / "output.png")
    page = write_report(study).read_text()
    alts = re.findall(r'alt="(.*?)"', page)
    assert [alt.partition(":")[0] for alt in alts] == ["input", "hidden map", "best", "baseline"]
    assert alts[2] == "best: trial 1: 1 picture side by side"
    for row in summarize(study).rows:
        shutil.rmtree(row.record.pictures)
    page = write_report(study).read_text()
    assert "<img" not in page
    assert "<h2>Pictures" not in page
    assert "Trial\xa01 scored" in page


def test_the_markdown_is_short(make: Any, made: Any) -> None:
    study = make([made(0.4), *(made(0.5 + i / 100, {"weight": 1.1 + i}) for i in range(8))])
    write_report(study)
    text = (study.folder / "report.md").read_text()
    assert len(text.splitlines()) < 40
    for part in (summarize(study).verdict, "| best | 8 | 0.570 |", "| published baseline | 0 |",
                 "| weight | 8.1 | 1 | 0.1 to 10, log |", "a difference may be noise",
                 "python -m trials.toy --weight 8.1", "[report.html](report.html)"):  # fmt: skip
        assert part in text


def test_numbers_that_are_not_finite_reach_no_json(make: Any, made: Any) -> None:
    study = make([made(0.5)])
    trial = study.folder / "0000" / "trial.json"
    trial.write_text(trial.read_text().replace("0.9", "NaN"))
    written = best_json(summarize(study))
    assert written["provenance"]["evaluator"]["accuracy"] is None
    assert write_report(study).is_file()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b\nc", "a\\|b c"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("lambda_gan", "lambda_gan"),
        ("_x_ *y*", "\\_x\\_ \\*y\\*"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert code("a ```` b") == "`````\na ```` b\n`````"


def test_a_log_scale_has_plain_labels() -> None:
    def plot(axes: Any) -> None:
        axes.plot([1, 2, 3], [0.001, 1, 100])
        axes.set_yscale("log")

    labels = re.findall(r">([^<>]+)</text>", draw("losses", plot))
    assert {"0.001", "0.1", "100"} <= set(labels)
    assert not any("$" in label for label in labels)


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_can_be_read(scheme: int) -> None:
    """WCAG AA in the light and the dark scheme: 4.5 for text, 3 for lines in plots."""
    style = (Path(core.report.__file__).parent / "templates" / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    for name, wash in (("ink", "card"), ("muted", "card"), ("best", "best-wash"),
                       ("baseline", "baseline-wash")):  # fmt: skip
        for ground in ("paper", wash):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for i in range(8):
        assert contrast(colours[f"series-{i}"], colours["paper"]) >= 3, i


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
