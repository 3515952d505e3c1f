"""The Optuna study of an NNI experiment: NNI's reports of its trials, corrected and taken in."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.search import nni_manager
from core.search.attributes import KEPT, NUMBER, UNTIL, VALUES
from core.search.nni_trial import PRUNED_AFTER, RUNG, TRIAL, outcome_of, tag_of
from core.search.samplers import GUARDS, infeasibility
from core.search.space import flatten
from core.search.study import Search
from core.task import Outcome, OutcomeKind

Known = dict[int | str | None, FrozenTrial]
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
        taken = self.search.taken()
        if self.search.promoted(taken, anywhere=True):
            taken = self.search.taken()
        trial = self.search.ask(taken)
        number: int = trial.user_attrs.get(NUMBER, len(taken))
        trial.set_user_attr(NUMBER, number)
        self.search.stop_at_rung(trial, number)
        self.asked[parameter_id] = code = _code(trial)
        self.over.discard(parameter_id)
        return {**self.search.space.nested(self.search.draw(trial)), TRIAL: self.first + code}

    def known(self) -> Known:
        """The trials that the study has taken, by number and by the text of their values."""
        trials = self.search.taken()
        # where several have the same values, an unfinished one counts, or a complete one
        trials.sort(key=lambda t: (not t.state.is_finished(), t.state is TrialState.COMPLETE))
        by_values: Known = {_key(t.user_attrs.get(VALUES, {})): t for t in trials}
        return by_values | {_code(t): t for t in trials if NUMBER in t.user_attrs}

    def receive(
        self, parameters: Any, metric: Any, known: Known, parameter_id: int | None = None
    ) -> None:
        """Take in a final metric, which knows best whose it is; it may be of an unasked point."""
        values = {k: v for k, v in flatten(parameters).items() if k != TRIAL}
        number = self._number_in(metric)
        if number is None and parameter_id is not None:
            number = self.asked.get(parameter_id)
        frozen = known.get(_key(values) if number is None else number)
        outcome = outcome_of(metric, self.search.task.objective)
        if frozen and not frozen.state.is_finished():
            self._close(frozen, outcome)
        elif frozen and frozen.state is not TrialState.FAIL:
            own = frozen.user_attrs.get(NUMBER)
            _logger.info("left aside: another metric, %r, of trial %s", metric, own)
        else:  # nobody's, or that of a trial given up too early
            values = frozen.user_attrs.get(VALUES, {}) if frozen else values
            completed = outcome.kind is OutcomeKind.COMPLETED
            if not (completed and add(self.search, values, _finished(outcome))):
                _logger.warning("left aside: the metric %r of %s", metric, values)

    def learn(self, other: Search) -> None:
        """Take in what a search of another space knows of points of this one."""
        for old in other.own(TrialState.COMPLETE, TrialState.PRUNED):
            add(self.search, old.user_attrs.get(VALUES, {}), old)

    def catch_up(self) -> None:
        """Close the trials that have ended without a metric; queue those that NNI never began."""
        running = self.search.own(TrialState.RUNNING)
        jobs = nni_manager.jobs() if running else None
        if jobs is None:
            over = {self.asked.get(parameter_id) for parameter_id in self.over}
            for frozen in running:
                if _code(frozen) in over:
                    self._close(frozen, Outcome(OutcomeKind.FAILED, "it ended without a metric"))
            return
        owners = {self._number_of(job): job for job in jobs}
        owners.pop(None, None)
        silent = [job for job in jobs if self._number_of(job) is None]
        believed = {job.parameters.get(TRIAL, -1) - self.first: job for job in silent}
        begun = {job.parameters.get(TRIAL, -1) - self.first for job in jobs}
        for frozen in running:
            number = _code(frozen) if NUMBER in frozen.user_attrs else None
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
        metrics = job.intermediates() if job.status in nni_manager.STOPPED else {}
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


def _code(trial: optuna.Trial | FrozenTrial) -> int:
    """The number by which NNI knows a trial, or one of its rungs."""
    number: int = trial.user_attrs[NUMBER]
    return number + RUNG * int(trial.user_attrs.get(UNTIL, 0))


def _finished(outcome: Outcome) -> FrozenTrial:
    """A trial that completed with this score, for `add`."""
    assert outcome.score
    facts = {"outcome": "completed", "reason": "", "parts": dict(outcome.score.parts)}
    trial = create_trial(value=outcome.score.value, user_attrs=facts)
    trial.set_constraint(GUARDS, infeasibility(outcome))
    return trial


def add(search: Search, values: Mapping[str, Any], like: FrozenTrial) -> bool:
    """Add a finished trial at this point, otherwise as `like`; False for no whole point."""
    latents, kept = search.space.latents(values)
    distributions: dict[str, BaseDistribution] = {}

    def ask(name: str, distribution: BaseDistribution) -> Any:
        latent = latents[name]
        distributions[name] = distribution
        return latent

    try:
        point = search.space.draw(ask)
    except KeyError:
        return False
    if point.keys() != values.keys():
        return False
    kept = {name: kept[name] for name in point if name in kept}
    numbers = [t.user_attrs.get(NUMBER, -1) for t in search.study.get_trials(deepcopy=False)]
    number = 1 + max(numbers, default=-1)
    trial = create_trial(
        state=like.state,
        value=like.value,
        intermediate_values=like.intermediate_values,
        params={name: latents[name] for name in distributions},
        distributions=distributions,
        user_attrs={**like.user_attrs, NUMBER: number, VALUES: {**point, **kept}, KEPT: kept},
    )
    for name, broken in like.constraints.items():
        trial.set_constraint(name, broken)
    search.study.add_trial(trial)
    return True


def _key(values: Mapping[str, Any]) -> str:
    """The same text for the same values, also after a visit to JavaScript: 1.0 becomes 1 there."""
    plain = {k: float(v) if type(v) is int else v for k, v in values.items()}
    return json.dumps(plain, sort_keys=True, default=str)
