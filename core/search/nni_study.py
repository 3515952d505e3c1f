"""The Optuna study of an NNI experiment: NNI's reports of its trials, corrected and taken in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.search import nni_manager
from core.search.nni_trial import PRUNED_AFTER, TRIAL, outcome_of, tag_of
from core.search.points import KnownTrials, add, completed, number_of, values_of
from core.search.recovery import NUMBER
from core.search.space import flatten
from core.search.study import Search
from core.task import Outcome, OutcomeKind

_logger = logging.getLogger("nni.tuner.optuna")


@dataclass(frozen=True)
class NniStudy:
    """A study whose trials NNI runs: `asked` are its numbers by NNI's parameter ids.

    NNI counts parameter ids anew when it resumes, and does not know for sure which trial has which
    parameters (see `core.search.nni_trial`). So parameters carry a number of their own: the number
    in the study, and `first` more, which the experiment had tried when it turned to this space.
    """

    search: Search
    experiment: str
    first: int = 0
    asked: dict[int, int] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    numbers: dict[str, int | None] = field(default_factory=dict)

    def propose(self, parameter_id: int) -> dict[str, Any]:
        """The next point as NNI writes points, a nested choice with its `_name`; and its number."""
        taken = self.search.own(*(s for s in TrialState if s is not TrialState.WAITING))
        trial = self.search.ask(taken)
        number: int = trial.user_attrs.get(NUMBER, len(taken))
        trial.set_user_attr(NUMBER, number)
        self.asked[parameter_id] = number
        self.over.discard(parameter_id)
        return {**self.search.space.nested(self.search.draw(trial)), TRIAL: self.first + number}

    def known(self) -> KnownTrials:
        """What the study knows by now, for `receive`."""
        return KnownTrials(self.search)

    def receive(
        self, parameters: Any, metric: Any, known: KnownTrials, parameter_id: int | None = None
    ) -> None:
        """Take in a final metric: it knows best whose it is, and the parameters worst.

        That of a point that nobody asked for is taken in as well.
        """
        values = {k: v for k, v in flatten(parameters).items() if k != TRIAL}
        number = self._number_in(metric)
        if number is None and parameter_id is not None:
            number = self.asked.get(parameter_id)
        frozen = known.at(values) if number is None else known.numbered(number)
        outcome = outcome_of(metric, self.search.task.objective)
        if frozen and not frozen.state.is_finished():
            self._close(frozen, outcome)
        elif frozen and frozen.state is not TrialState.FAIL:
            _logger.info("left aside: another metric, %r, of trial %s", metric, number_of(frozen))
        else:  # nobody's, or that of a trial given up too early
            values = values_of(frozen) if frozen else values
            score = outcome.score if outcome.kind is OutcomeKind.COMPLETED else None
            if not (score and add(self.search, values, completed(score))):
                _logger.warning("left aside: the metric %r of %s", metric, values)

    def learn(self, other: Search) -> None:
        """Take in what a search of another space knows of points of this one."""
        for old in other.own(TrialState.COMPLETE, TrialState.PRUNED):
            add(self.search, values_of(old), old)

    def catch_up(self) -> None:
        """Close the trials that have ended without a metric; queue those that NNI never began."""
        running = self.search.own(TrialState.RUNNING)
        jobs = nni_manager.jobs() if running else None
        if jobs is None:
            over = {self.asked.get(parameter_id) for parameter_id in self.over}
            for frozen in running:
                if number_of(frozen) in over:
                    self._close(frozen, Outcome(OutcomeKind.FAILED, "it ended without a metric"))
            return
        owners = {self._number_of(job): job for job in jobs}
        owners.pop(None, None)
        silent = [job for job in jobs if self._number_of(job) is None]
        believed = {job.parameters.get(TRIAL, -1) - self.first: job for job in silent}
        begun = {job.parameters.get(TRIAL, -1) - self.first for job in jobs}
        for frozen in running:
            number = number_of(frozen)
            if number is not None and (job := owners.get(number) or believed.get(number)):
                self._end(frozen, job)
            elif all(job.ended for job in silent):  # else it may be one of them
                if number not in self.asked.values():
                    self._close(frozen, Outcome(OutcomeKind.INTERRUPTED, "NNI never began it"))
                elif number in begun:
                    self._close(frozen, Outcome(OutcomeKind.FAILED, "it ended without a metric"))

    def _number_in(self, metric: Any) -> int | None:
        """The number of the trial that tells a metric; None where it is not of this experiment."""
        tag = metric.get(TRIAL) if isinstance(metric, Mapping) else None
        number = str(tag).rpartition("-")[2]
        ours = number.isdecimal() and tag == tag_of(self.experiment, int(number))
        return int(number) - self.first if ours and int(number) >= self.first else None

    def _number_of(self, job: nni_manager.Job) -> int | None:
        """The number of the trial whose metrics a job tells, whatever NNI believes."""
        if job.name in self.numbers:
            return self.numbers[job.name]
        metrics = {} if job.final is not None else job.intermediates()
        number = self._number_in(metrics[max(metrics)] if metrics else job.final)
        if number is not None or job.ended:
            self.numbers[job.name] = number
        return number

    def _end(self, frozen: FrozenTrial, job: nni_manager.Job) -> None:
        """Close a trial that NNI saw end; one that was stopped teaches what it had come to."""
        if not job.ended:
            return
        objective = self.search.task.objective
        if job.final is not None:
            self._close(frozen, outcome_of(job.final, objective))
            return
        metrics = job.intermediates() if job.stopped else {}
        scores = {epoch: outcome_of(metric, objective).score for epoch, metric in metrics.items()}
        steps = {epoch: score.value for epoch, score in scores.items() if score}
        if not steps:
            self._close(frozen, Outcome(OutcomeKind.FAILED, f"NNI says {job.status}"))
            return
        last = max(steps)
        reason = f"NNI stopped it after epoch {last} ({job.status})"
        self._close(frozen, Outcome(OutcomeKind.PRUNED, reason, scores[last]), steps)

    def _close(
        self, frozen: FrozenTrial, outcome: Outcome, steps: Mapping[int, float] | None = None
    ) -> None:
        """Tell the study; `steps` are the scores by epoch of one that came to no end of its own."""
        trial = optuna.Trial(self.search.study, frozen._trial_id)
        if outcome.kind is OutcomeKind.PRUNED and outcome.score and not steps:
            steps = {int(outcome.score.parts[PRUNED_AFTER]): outcome.score.value}
        for epoch, value in (steps or {}).items():
            trial.report(value, epoch)
        self.search.close(trial, outcome, None)
