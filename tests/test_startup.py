"""What is imported, and when: start-up regresses by an import far more often than by a loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.search import processes
from tests.conftest import ROOT

HEAVY = {"torch._dynamo", "torchvision", "sklearn", "scipy.stats", "matplotlib", "pandas", "optuna"}


def imported(code: str, names: set[str], **environment: str) -> str:
    """Which of these modules the code has imported when it is done."""
    code = f"import sys\n{code}\nprint(sorted({names} & set(sys.modules)), file=sys.stderr)"
    command, env = [sys.executable, "-c", code], {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, timeout=60)
    return done.stderr.splitlines()[-1]


def test_a_trial_imports_pytorch_and_nothing_else_that_is_slow() -> None:
    assert imported("import trials.cyclegan", HEAVY) == "[]"


def test_under_nni_no_more_of_nni_is_imported_than_a_trial_needs(tmp_path: Path) -> None:
    (tmp_path / "parameter.cfg").write_text('{"parameter_id": 0, "parameters": {"lr_g": 0.001}}')
    where = {"NNI_SYS_DIR": str(tmp_path), "NNI_OUTPUT_DIR": str(tmp_path)}
    where |= {"NNI_PLATFORM": "local", "NNI_EXP_ID": "e", "NNI_TRIAL_JOB_ID": "t"}
    code = "from core.search.nni_trial import _nni\nnni = _nni()\n"
    code += "assert nni.get_next_parameter() == {'lr_g': 0.001}\nassert nni.trial\n"
    slow = {"scipy.stats", "nni.experiment", "nni.mutable"}
    assert imported(code, slow, **where) == "[]"
    code += "import nni as whole\nassert whole is nni\nassert nni.Experiment\n"
    code += "assert nni.report_final_result is nni.trial.report_final_result\n"
    assert imported(code, slow, **where) == str(sorted(slow))


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        ("tune cyclegan --trials 12", ["trials.cyclegan"]),
        ("compare function_fit glyph_gan --workers 2", ["trials.function_fit", "trials.glyph_gan"]),
        ("tune cyclegan --help", None),
        ("tune cyclegan --workers 1", None),
        ("tune cyclegan --trials=1", None),
        ("tune misspelt", None),
        ("confirm study", None),
    ],
)
def test_workers_import_their_task_while_the_command_prepares(
    words: str, tasks: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr(processes, "CORES", 2)
    monkeypatch.setattr("multiprocessing.forkserver.set_forkserver_preload", begun.append)
    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", lambda: None)
    processes.preload(words.split())
    assert begun == ([[*tasks, *processes.IMPORTS]] if tasks else [])


def test_the_workers_begin_before_the_command_imports_pytorch() -> None:
    code = "from core.search import processes\nfrom core import cli\n"
    code += "def stop(argv): raise SystemExit\n"
    code += "processes.preload = stop\n"
    code += "try: cli.main(['tune', 'cyclegan'])\nexcept SystemExit: pass\n"
    assert imported(code, {"torch", "optuna"}) == "[]"
