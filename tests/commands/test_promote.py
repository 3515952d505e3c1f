"""`gantune promote`: the best trials of a study go on from their checkpoints, under their names."""

from __future__ import annotations

import json
from pathlib import Path

from core.files import read_json
from core.record import Record
from tests.conftest import TINY_GLYPHS, Run


def test_the_best_go_on_and_the_other_commands_understand(
    gantune: Run, runs: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"lr_g": {"_type": "loguniform", "_value": [1e-4, 1e-2]}}))
    words = ["tune", "glyph_cyclegan", *TINY_GLYPHS, "--epochs", "2", "--workers", "1"]
    tuned = gantune(*words, "--trials", "2", "--space", space, "--pruner", "none")
    assert tuned.returncode == 0, tuned.stderr
    study, promoted = runs / "glyph_cyclegan", runs / "glyph_cyclegan-promoted"
    scores = {i: Record(study / f"{i:04d}").outcome() for i in range(2)}
    best = min(scores, key=lambda i: scores[i].score.value)  # type: ignore[union-attr]
    before = {p: p.read_bytes() for p in study.glob("*/*") if p.is_file() and p.name[0] != "."}

    words = ["promote", "glyph_cyclegan", "--top", "2", "--workers", "1", "--threads", "1"]
    done = gantune(*words, "--epochs", "4")
    assert done.returncode == 0, done.stderr
    assert f"trial {best}: goes on from epoch 2 to 4" in done.stdout
    assert {p: p.read_bytes() for p in before} == before, "the study stays as it was"
    records = [Record(p.parent) for p in promoted.glob("*/trial.json")]
    assert len(records) == 2
    for record in records:
        assert [line.epoch for line in record.epochs()] == [1, 2, 3, 4]
        assert record.epochs()[:2] == Record(study / record.folder.name).epochs()
        trial = record.trial()
        assert (trial["params"]["epochs"], trial["study"]) == (4, promoted.name)
        assert trial["number"] == int(record.folder.name)
    page = (promoted / "report.md").read_text()
    assert "lr_g" in page

    moments = {r.folder: r.checkpoint.stat().st_mtime_ns for r in records}
    assert gantune(*words, "--epochs", "4").returncode == 0
    assert {r.folder: r.checkpoint.stat().st_mtime_ns for r in records} == moments, "done once"
    more = gantune(*words, "--epochs", "5")
    assert more.returncode == 2
    assert "holds" in more.stderr

    assert gantune("translate", promoted / records[0].folder.name).returncode == 0
    words = ["confirm", promoted.name, "--top", "1", "--seeds", "2", "--workers", "1"]
    confirmed = gantune(*words, "--threads", "1")
    assert confirmed.returncode == 0, confirmed.stderr
    assert read_json(runs / f"{promoted.name}-confirm" / "confirm.json")["epochs"] == 4


def test_a_mistake_is_one_clear_error(gantune: Run, runs: Path) -> None:
    fit = ["function_fit", "--epochs", "3", "--trials", "2", "--workers", "1"]
    assert gantune("tune", *fit).returncode == 0
    for words, message in (
        (["nothing", "--epochs", "9"], "no trial of a study 'nothing'"),
        (["function_fit", "--epochs", "3"], "has trained 3 already; take more, such as 6"),
    ):
        done = gantune("promote", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
