"""NNI experiment configs: NNI's own validation, and what it lets pass and then stumbles over."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from core.doctor import algorithm, disk, trial_command
from core.doctor.finding import Finding, error, first_line, warning
from core.search.space_file import read_json
from core.task import UserError

if TYPE_CHECKING:
    from nni.experiment.config import ExperimentConfig

FOUND = ("nni_config.yml", "docs/nni/*.yml")
MANUAL = "https://nni.readthedocs.io/en/stable/reference/experiment_config.html"


@dataclass(frozen=True)
class Experiment:
    """A config as NNI reads it, and what its trialCommand runs where that could be told."""

    path: Path
    config: ExperimentConfig
    command: trial_command.Command | None = None
    space: Any = None
    space_where: str = ""

    @property
    def platforms(self) -> list[str]:
        """The training services' names."""
        services = self.config.training_service
        services = services if isinstance(services, list) else [services]
        return [str(getattr(service, "platform", "")) for service in services]

    @property
    def local(self) -> bool:
        """Whether every trial runs on this machine."""
        return self.platforms == ["local"]

    @property
    def directory(self) -> Path:
        """Where trials start: trialCodeDirectory, from the config's folder on."""
        own = _service(self.config, "trial_code_directory")
        return (self.path.parent / str(own or ".")).resolve()

    def request(self) -> dict[str, Any] | None:
        """What `tasks.check_experiment` is to check; None where it is none of our trials."""
        if self.command is None or not self.command.task:
            return None
        return {
            "where": str(self.path),
            "task": self.command.task,
            "words": self.command.words,
            "directory": str(self.directory),
            "concurrency": _number(self.config.trial_concurrency) if self.local else 0,
            "space": self.space,
            "space_where": self.space_where,
        }


def find(given: list[Path] | None) -> list[Path]:
    """The configs given, else those in the working directory; UserError for one not there."""
    for path in given or []:
        if not path.is_file():
            raise UserError(f"--config {path}: there is no such file")
    if given:
        return given
    return sorted(path for pattern in FOUND for path in Path().glob(pattern))


def check(path: Path, gpus: int) -> tuple[Experiment | None, list[Finding]]:
    """Check all of a config that needs no task; None where it cannot be read at all."""
    config, wrong = _load(path)
    if config is None:
        return None, wrong
    space, space_where, complaints = _space(path, config)
    experiment = Experiment(path, config, None, space, space_where)
    wrong += complaints
    text = _service(config, "trial_command")
    if isinstance(text, str):
        where = experiment.directory if experiment.local else None
        command, complaints = trial_command.check(str(path), text, where)
        wrong += complaints
        experiment = replace(experiment, command=command)
    wrong += [*_valid(path, config), *_working_directory(path, config)]
    wrong += _gpus(experiment, gpus)
    task = experiment.command.task if experiment.command else ""
    wrong += algorithm.check(str(path), config, path.parent, task)
    return experiment, wrong + ([] if task or space is None else _types(space_where, space))


def _load(path: Path) -> tuple[ExperimentConfig | None, list[Finding]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf_8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        return None, [error(path, f"not valid YAML: {' '.join(str(problem).split())}")]
    if not isinstance(content, dict):
        return None, [error(path, "holds no mapping of NNI's fields", f"see {MANUAL}")]
    if "trainingServicePlatform" in content:
        what = "trainingServicePlatform: the format of NNI 2.2 and older, not checked here"
        return None, [warning(path, what, f"write it as {MANUAL} shows")]
    from nni.experiment.config import ExperimentConfig, utils

    try:
        with _quiet():
            return ExperimentConfig.load(path), []
    except Exception as problem:
        return None, [error(path, first_line(problem), f"see {MANUAL}")]
    finally:
        utils.unset_base_path()


def _valid(path: Path, config: ExperimentConfig) -> list[Finding]:
    """What NNI's own validation refuses; the search space is looked at by `_space`."""
    from nni.experiment.config.training_service import TrainingServiceConfig

    service = config.training_service
    services = service if isinstance(service, list) else [service]
    if unknown := [s for s in services if not isinstance(s, TrainingServiceConfig)]:
        named = isinstance(unknown[0], dict)
        what = f"no training service of NNI's ({unknown[0]})" if named else "is missing"
        return [
            error(f"{path}: trainingService", what, "such as trainingService: {platform: local}")
        ]
    rest = copy.deepcopy(config)
    rest.search_space_file, rest.search_space = None, {}
    try:
        with _quiet():
            rest.validate()
    except Exception as problem:
        return [error(path, first_line(problem), f"see {MANUAL}")]
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """None of NNI's log lines and warnings, nor what it prints."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _service(config: ExperimentConfig, name: str) -> Any:
    """A field that may stand in the training service, or at the top as a shortcut."""
    from nni.experiment.config import utils

    own = getattr(config.training_service, name, None)
    return getattr(config, name) if own is None or utils.is_missing(own) else own


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _working_directory(path: Path, config: ExperimentConfig) -> list[Finding]:
    """Where NNI keeps its logs and database."""
    folder = config.experiment_working_directory
    place = path.parent / Path(str(folder)).expanduser()
    return disk.writable(f"{path}: experimentWorkingDirectory {folder}", place)


def _gpus(experiment: Experiment, there: int) -> list[Finding]:
    """NNI 3.0 schedules a trial where trialGpuNumber / maxTrialNumberPerGpu < GPUs, else never."""
    wanted = _service(experiment.config, "trial_gpu_number")
    if not experiment.local or not isinstance(wanted, int):
        return []
    where = f"{experiment.path}: trialGpuNumber {wanted}"
    if wanted == 0:
        return [warning(where, "hides the GPU from trials", "leave it out")] if there else []
    shared = _number(getattr(experiment.config.training_service, "max_trial_number_per_gpu", 1))
    if wanted / max(shared, 1) < there:
        return []
    if not there:
        return [error(where, "this machine has no GPU: nothing is ever scheduled", "leave it out")]
    what = f"asks for as many GPUs as there are ({there}): NNI never schedules such a trial"
    remedy = "leave it out, or maxTrialNumberPerGpu: 2 with trialConcurrency: 1"
    return [error(where, what, remedy)]


def _space(path: Path, config: ExperimentConfig) -> tuple[Any, str, list[Finding]]:
    """The search space, as NNI reads it, or None; where it stands; why it cannot be read."""
    if (file := config.search_space_file) is None:
        where = f"{path}: searchSpace"
        if config.search_space is None:
            return None, where, [error(path, "neither searchSpaceFile nor searchSpace", "name one")]
        return config.search_space, where, []
    where, place = f"{path}: searchSpaceFile {file}", path.parent / file
    try:
        text = place.read_text(encoding="utf_8")
        try:
            json.loads(text)
        except ValueError:
            return yaml.safe_load(text), where, []
        return read_json(place), where, []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        return None, where, [error(where, f"cannot be read ({first_line(problem)})")]
    except UserError as mistake:
        return None, where, [error(where, str(mistake))]


def _types(where: str, space: Any) -> list[Finding]:
    from nni.common.hpo_utils import validate_search_space

    try:
        validate_search_space(space, raise_exception=True)
    except Exception as problem:
        return [error(where, first_line(problem).removeprefix("ValueError: "))]
    return []
