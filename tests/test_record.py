from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.files import atomic_write, write_json
from core.record import EpochLine, Record, Study, valid_name
from core.task import Outcome, OutcomeKind, Score, UserError
from core.training.provenance import provenance


def line(epoch: int) -> EpochLine:
    return EpochLine(epoch, {"g": 1.0}, Score(0.5, {"style": 0.4}), 2.0, 10.0)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = Record(tmp_path / "study" / "0003")
    record.begin({"number": 3, "task": "cyclegan"})
    record.write_epochs([line(1), line(2)])
    score = Score(0.5, {"style": 0.4}, {"guard": -1.0})
    record.end(Outcome(OutcomeKind.PRUNED, "hopeless", score), 4.0)
    assert record.trial()["number"] == 3
    assert record.epochs() == [line(1), line(2)]
    assert record.outcome() == Outcome(OutcomeKind.PRUNED, "hopeless", score)
    assert record.seconds() == 4.0


def test_a_trial_that_begins_again_keeps_its_epochs_but_not_its_ending(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.begin({"number": 0})
    record.write_epochs([line(1)])
    record.end(Outcome(OutcomeKind.INTERRUPTED), 1.0)
    record.begin({"number": 0})
    assert record.outcome() is None
    assert record.epochs() == [line(1)]


def test_a_torn_line_ends_the_epochs_and_is_no_error(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.write_epochs([line(1), line(2)])
    path = tmp_path / "epochs.jsonl"
    path.write_text(path.read_text()[:-20])
    assert record.epochs() == [line(1)]


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    def fail(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        atomic_write(tmp_path / "a.json", fail)
    assert caught.value.filename == str(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})

    def fail(file: object) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        atomic_write(path, fail)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_killed_process_lets_its_trial_go(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from core.record import Record\n"
        "with Record(Path(sys.argv[1])).running(): print('held', flush=True); time.sleep(60)"
    )
    record = Record(tmp_path / "trial")
    with subprocess.Popen(
        [sys.executable, "-c", code, record.folder], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert record.is_running()
        with pytest.raises(UserError, match="another process"), record.running():
            pass
        holder.kill()
        holder.wait()
    deadline = time.monotonic() + 5
    while record.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not record.is_running()


def test_a_study_lists_its_trials_by_number_and_names_others_when_missing(tmp_path: Path) -> None:
    for number in (10, 2):
        Record(tmp_path / "mine" / f"t{number}").begin({"number": number})
    assert [r.trial()["number"] for r in Study.open(tmp_path, "mine").records()] == [2, 10]
    with pytest.raises(UserError, match=r"no trial of a study 'yours' .*there are: mine"):
        Study.open(tmp_path, "yours")


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "evaluators", "a" * 101, "x\n"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        valid_name(name)


def test_a_score_is_never_nan() -> None:
    with pytest.raises(ValueError, match="finite"):
        Score(float("nan"))


def test_provenance_says_what_reproducing_takes() -> None:
    facts = provenance()
    assert set(facts["versions"]) >= {"python", "torch", "optuna", "nni", "gantune"}
    assert len(facts["git"].removesuffix("+changes")) in (0, 40)
    json.dumps(facts)
