"""`import gantune`: what people get in a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gantune

OLD = Path(__file__).parent / "fixtures" / "record-0.1.0" / "guarded"


def test_a_study_is_loaded_from_its_folder() -> None:
    study = gantune.load(str(OLD))
    assert isinstance(study, gantune.Summary)
    assert study.best is not None
    assert study.baseline is not None
    assert study.best.number == 5
    assert study.baseline.score == pytest.approx(0.009, abs=1e-3)
    assert repr(study).startswith("<study 'guarded' of cyclegan: 3 completed. Trial 5 scored")


def test_its_trials_are_a_data_frame() -> None:
    frame = gantune.load(OLD).to_dataframe()
    assert list(frame["number"]) == [0, 1, 5]
    assert list(frame.columns[:3]) == ["number", "outcome", "score"]
    assert {"params.lr_g", "params.evaluator", "parts.style", "seconds"} <= set(frame.columns)
    assert frame.loc[2, "score"] == pytest.approx(0.012, abs=1e-3)


def test_without_pandas_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(gantune.UserError, match=r"pip install 'gantune\[dataframe\]'"):
        gantune.load(OLD).to_dataframe()


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(gantune.UserError, match="no trial of a study 'nothing'"):
        gantune.load(tmp_path / "nothing")


def test_neither_torch_nor_matplotlib_nor_pandas_is_imported() -> None:
    code = (
        "import sys, gantune; s = gantune.load(sys.argv[1]); print(s.best.score, s, s.baseline)\n"
        "assert gantune.__version__\n"
        "loaded = {'torch', 'matplotlib', 'pandas', 'optuna', 'nni'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code, str(OLD)], check=True, cwd=OLD.parents[3])
