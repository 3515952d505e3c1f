"""What NNI's manager knows of its trials, asked over the REST interface of its web portal.

NNI reports final metrics to a tuner and, without a reason, that a trial has ended. The tuner runs
in a process that the manager started, and can ask for the rest.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import ProxyHandler, build_opener

ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
STOPPED = ("USER_CANCELED", "EARLY_STOPPED")  # by a person or the assessor: NNI confuses the two
PATIENCE = 20.0

_logger = logging.getLogger("nni.tuner.optuna")


@dataclass(frozen=True)
class Job:
    """A trial as NNI sees it: its id, the parameters it believes it has, how it goes."""

    name: str
    parameters: Mapping[str, Any]
    status: str
    final: Any

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED

    def intermediates(self) -> dict[int, Any]:
        """The metric after each epoch (from 1) that it reported; empty without an answer."""
        answers = _ask(f"metric-data/{self.name}?type=PERIODICAL") or ()
        return {int(m["sequence"]) + 1: _metric(m) for m in answers}


def jobs() -> list[Job] | None:
    """Every trial that NNI has started, this run or before; None where NNI cannot be asked."""
    answer = _ask("trial-jobs")
    return None if answer is None else [_job(job) for job in answer if job.get("hyperParameters")]


def trial_command() -> str:
    """The experiment's trialCommand; '' where NNI cannot be asked."""
    answer = _ask("experiment") or {}
    return str(answer.get("params", {}).get("trialCommand", ""))


def _job(answer: dict[str, Any]) -> Job:
    parameters = json.loads(answer["hyperParameters"][0]).get("parameters")
    final = [_metric(m) for m in answer.get("finalMetricData") or ()]
    known = dict(parameters) if isinstance(parameters, Mapping) else {}
    return Job(answer["trialJobId"], known, answer["status"], final[0] if final else None)


def _metric(answer: dict[str, Any]) -> Any:
    return json.loads(json.loads(answer["data"]))


def _ask(path: str) -> Any:
    channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL", "")  # ws://localhost:8080/prefix/tuner
    if not channel.startswith("ws://"):
        return None
    address = "http" + channel.removeprefix("ws").removesuffix("tuner") + "api/v1/nni/" + path
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=PATIENCE) as answer:
            return json.load(answer)
    except (OSError, ValueError) as error:
        _logger.warning("%s: %s", address, error)
        return None
