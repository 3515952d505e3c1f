"""NNI experiment configs: NNI's own validation, and what it lets pass and then fails at."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.doctor.finding import Finding, error, first_line, warning
from core.params import task_summaries
from core.task import Task, UserError

FOUND = ("nni_config.yml", "docs/nni/*.yml")
MANUAL = "see https://nni.readthedocs.io/en/stable/reference/experiment_config.html"


def find(paths: list[Path] | None) -> list[Path]:
    """The configs at `paths`, else those in the working directory; UserError for a missing one."""
    for path in paths or []:
        if not path.is_file():
            raise UserError(f"--config {path}: there is no such file")
    return paths or sorted(path for pattern in FOUND for path in Path().glob(pattern))


def check(path: Path, known: Mapping[str, Task]) -> list[Finding]:
    """Check a config whose trials run one of the tasks `known`, or are none of gantune's."""
    from nni.experiment.config import ExperimentConfig, utils

    from core.doctor import nni_trial

    try:  # the copy is validated, has absolute paths, and holds what the search-space file says
        with warnings.catch_warnings(action="ignore"):
            config = ExperimentConfig.load(path).canonical_copy()
    except Exception as problem:
        return [error(str(path), f"no valid config of NNI 3.0 ({first_line(problem)})", MANUAL)]
    finally:
        utils.unset_base_path()  # NNI leaves it set after an error
    service, where = config.training_service, f"{path}: trialCommand"
    try:
        command = nni_trial.parse(service.trial_command)
    except ValueError as problem:
        what = f"it is no simple command ({problem}): NNI stops a trial by a signal to the shell, "
        what += "and Python would go on running"
        return [error(where, what, "make it one simple command")]
    findings = _algorithms(str(path), config, command.task)
    if service.platform == "local":
        findings += nni_trial.check_python(where, command, Path(service.trial_code_directory))
        findings += _gpus(f"{path}: trialGpuNumber {service.trial_gpu_number}", service)
    if command.task in known:
        findings += nni_trial.check_experiment(path, config, command.words, known[command.task])
    elif command.task and command.task not in task_summaries():
        findings.append(error(where, f"there is no task {command.task!r}", "see gantune tasks"))
    return findings


def _gpus(where: str, service: Any) -> list[Finding]:
    """NNI 3.0 schedules a trial where trialGpuNumber / maxTrialNumberPerGpu < GPUs, else never."""
    import torch

    wanted, count = service.trial_gpu_number, torch.cuda.device_count()
    if wanted == 0 and count:
        return [warning(where, "hides the GPU from trials", "leave it out")]
    if not wanted or wanted / service.max_trial_number_per_gpu < count:
        return []
    what = f"NNI never schedules such a trial on a machine with {count} GPUs"
    remedy = "leave it out, or write maxTrialNumberPerGpu: 2 with trialConcurrency: 1"
    return [error(where, what, remedy)]


def _algorithms(where: str, config: Any, task: str) -> list[Finding]:
    """The tuner and the assessor: whether each can be made, and what it optimises."""
    findings = []
    for kind in ("tuner", "assessor"):
        if (chosen := getattr(config, kind)) is None:
            continue
        at, arguments = f"{where}: {kind}", chosen.class_args or {}
        try:
            algorithm = _algorithm(kind, chosen, arguments)
        except Exception as problem:
            what = f"it cannot be made ({first_line(problem)}): NNI's dispatcher dies of it while "
            what += "the experiment's status stays RUNNING"
            findings.append(error(at, what, "correct its name or classArgs"))
            continue
        accepted = inspect.signature(type(algorithm)).parameters
        default = accepted["optimize_mode"].default if "optimize_mode" in accepted else None
        mode = arguments.get("optimize_mode", default)
        if task and mode not in (None, "maximize"):
            what = f"it is to {mode}, and gantune's trials always send a value to maximize"
            findings.append(error(at, what, "write optimize_mode: maximize in classArgs"))
        if task and arguments.get("task", task) != task:
            what = f"it proposes parameters of {arguments['task']}, and the trials are {task}'s"
            findings.append(error(at, what, f"write task: {task}, or leave it out"))
    return findings


def _algorithm(kind: str, chosen: Any, arguments: dict[str, Any]) -> Any:
    """The tuner or assessor, made as NNI makes it."""
    from nni.tools.package_utils import tuner_factory

    if chosen.name:
        return tuner_factory.create_builtin_class_instance(chosen.name, arguments, f"{kind}s")
    code = {"codeDirectory": str(chosen.code_directory), "className": chosen.class_name}
    return tuner_factory.create_customized_class_instance({**code, "classArgs": arguments})
