"""What long runs say of short trials, from made-up records whose answer is known."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.files import read_json, write_json
from core.record import EpochLine, Record, Study
from core.replicates.stats import Rho
from core.report import write_report
from core.report.audit import (
    LEFT_ALONE,
    Audit,
    audit_json,
    read_audit,
)
from core.report.cautions import cautions
from core.report.confirmation import candidate
from core.report.rows import read_rows
from core.report.summary import summarize
from core.search.samplers import make_pruner
from core.task import Outcome, OutcomeKind, Score
from tests.report.conftest import DEFAULTS

LONG = 8


@pytest.fixture
def audited(make: Any, made: Any) -> Any:
    """A study of 2 epochs a trial with these scores, and its runs of 8 epochs with these curves."""
    names = (f"demo{i}" for i in itertools.count())

    def study(
        shorts: Sequence[float],
        curves: Sequence[Sequence[float]],
        rates: Mapping[str, Sequence[float]] | None = None,
        outcomes: Mapping[int, OutcomeKind | None] | None = None,
        broken: Sequence[int] = (),
        pruned: Sequence[int] = (),
        direction: str = "maximize",
    ) -> Study:
        """Runs that are named in `broken` break a guard; `rates` are the learning rates."""
        points = [
            {"weight": 1.0 + i, **{name: values[i] for name, values in (rates or {}).items()}}
            for i in range(len(shorts))
        ]
        trials = [
            made(score, point, OutcomeKind.PRUNED if i in pruned else OutcomeKind.COMPLETED)
            for i, (score, point) in enumerate(zip(shorts, points, strict=True))
        ]
        space = {name: {"_type": "loguniform", "_value": [1e-6, 1.0]} for name in rates or {}}
        space["weight"] = {"_type": "uniform", "_value": [0.0, 99.0]}
        found: Study = make(trials, space=space, direction=direction, name=next(names))
        folder = found.folder.with_name(f"{found.name}-audit")
        for i, row in enumerate(read_rows(found)[: len(curves)]):
            record = Record(folder / candidate(row))
            objective = {"name": "toy score", "direction": direction}
            params = {**DEFAULTS, **points[i], "epochs": LONG}
            record.begin({"task": "toy", "objective": objective, "params": params, "number": i})
            guards = {"ink": 1.0 if i in broken else -1.0}
            record.write_epochs([
                EpochLine(e, {}, Score(value, {}, guards), 1.0, 1.0)
                for e, value in enumerate(curves[i], 1)
            ])  # fmt: skip
            outcome = (outcomes or {}).get(i, OutcomeKind.COMPLETED)
            if outcome:
                record.end(Outcome(outcome, "", Score(curves[i][-1], {}, guards)), 1.0)
        chosen = [row.record.folder.name for row in read_rows(found)]
        about = {"audited": found.name, "epochs": LONG, "trials": chosen}
        write_json(folder / "study.json", about)
        return found

    return study


def read(study: Study) -> Audit:
    audit = read_audit(summarize(study))
    assert audit
    return audit


def steady(ends: Sequence[float]) -> list[list[float]]:
    """Curves that rise to these scores and never cross."""
    return [[end * e / LONG for e in range(1, LONG + 1)] for end in ends]


UP = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_same_order_has_rho_1_at_every_budget(audited: Any, direction: str) -> None:
    audit = read(audited(UP, steady(UP), direction=direction))
    assert (audit.short, audit.long, audit.top) == (2, LONG, 3)
    assert [budget.epochs for budget in audit.budgets] == [1, 2, 4]
    for agreement in (audit.trial, *audit.budgets):
        assert agreement.rho == Rho(1.0, 1.0, 1.0)
        assert agreement.kept == 3
    assert audit.warm_up == 1
    assert audit.trusted == audit.budgets[0]
    assert audit.flags == "--epochs 1"
    assert "trusted, by the long runs so far, with rho 1.00" in " ".join(audit.sentences)


def test_the_reverse_order_has_rho_minus_1_and_nothing_is_recommended(audited: Any) -> None:
    curves = [[-end] * (LONG - 1) + [end] for end in UP]
    audit = read(audited(UP[::-1], curves))
    for agreement in (audit.trial, *audit.budgets):
        assert agreement.rho == Rho(-1.0, -1.0, -1.0)
        assert agreement.kept == 0
    assert audit.warm_up == LONG
    assert (audit.trusted, audit.flags) == (None, "")
    assert "None of these budgets can be trusted" in " ".join(audit.sentences)
    assert "with 8 configurations the interval is wide" in " ".join(audit.sentences)


def test_an_order_by_chance_is_told_as_such(audited: Any) -> None:
    random = np.random.default_rng(1)
    shorts, ends = random.permutation(12) / 12, random.permutation(12) / 12
    curves = [[*random.random(LONG - 1), end] for end in ends]
    audit = read(audited(list(shorts), curves))
    for agreement in (audit.trial, *audit.budgets):
        assert agreement.rho.low is not None
        assert agreement.rho.high is not None
        assert agreement.rho.low < 0 < agreement.rho.high
    assert audit.trusted is None


def test_the_short_trial_and_the_long_run_so_far_are_told_apart(audited: Any) -> None:
    audit = read(audited(UP[::-1], steady(UP)))
    at = {budget.epochs: budget.rho.value for budget in audit.budgets}
    assert (audit.trial.rho.value, at[audit.short]) == (-1.0, 1.0)
    study = audited(UP, [[-end] * 3 + [end] * 5 for end in UP])
    assert read(study).trusted == read(study).trial, "2 epochs: the trial itself is the evidence"
    assert (
        "ranks like one of 8 with rho 1.00 (1.00 to 1.00, 8 configurations)"
        in read(study).sentences[0]
    )


def test_a_run_without_a_final_score_is_the_worst(audited: Any) -> None:
    curves = steady(UP)
    curves[7] = curves[7][:3]
    curves[6][-1] = 99.0
    ends = {7: OutcomeKind.DIVERGED, 6: OutcomeKind.COLLAPSED}
    audit = read(audited([*UP[2:], 0.1, 0.1], curves, outcomes=ends))
    assert audit.unscored == ("6", "7")
    assert audit.trial.rho == Rho(1.0, 1.0, 1.0), "both are last, and tied"
    at = {budget.epochs: budget for budget in audit.budgets}
    assert (at[2].kept, at[4].kept) == (1, 2), "7 is the best until it diverges, 6 until the end"


def test_a_run_that_breaks_a_guard_ranks_below_those_that_do_not(audited: Any) -> None:
    kept = read(audited([*UP[1:], 0.05], steady(UP), broken=[7]))
    assert kept.trial.rho.value == 1.0


def test_a_pruned_trial_ranks_below_the_completed(audited: Any) -> None:
    audit = read(audited([0.9, *UP[1:]], steady(UP), pruned=[0]))
    assert audit.trial.rho.value == 1.0
    assert audit.pruned == 1


def test_runs_that_are_not_at_an_end_are_left_out(audited: Any) -> None:
    ends = {0: None, 1: OutcomeKind.INTERRUPTED, 2: OutcomeKind.OUT_OF_MEMORY}
    study = audited(UP, steady(UP)[:7], outcomes=ends)
    audit = read(study)
    assert audit.configurations == ("3", "4", "5", "6")
    assert audit.waiting == 4
    assert audit.top == 2, "the better half of four"
    assert audit.trusted is None, "four may be in order by luck"
    assert "With 4 configurations an order may be kept by luck" in " ".join(audit.sentences)
    assert "4 long runs were left out" in write_report(study).read_text()


def test_three_runs_are_no_audit_and_neither_is_another_studys(audited: Any) -> None:
    assert read_audit(summarize(audited(UP, steady(UP)[:3]))) is None
    study = audited(UP, steady(UP))
    about = study.folder.with_name(f"{study.name}-audit") / "study.json"
    write_json(about, {**read_json(about), "audited": "another"})
    assert read_audit(summarize(study)) is None


def test_the_rate_that_wins_early_and_loses_late_is_named(audited: Any) -> None:
    rates = [1e-5 * 2**i for i in range(8)]
    neutral = [3e-4, 1e-4, 6e-4, 8e-4, 7e-4, 2e-4, 5e-4, 4e-4]
    study = audited(UP, [[e] * 8 for e in UP[::-1]], {"lr_g": rates, "lr_d": neutral})
    drift = read(study).drift
    assert drift
    assert (drift.parameter, drift.rho.value) == ("lr_g", 1.0)
    assert "High values of lr_g win early and lose late: rho 1.00" in " ".join(
        read(study).sentences
    )
    slow = read(audited(UP, [[e] * 8 for e in UP[::-1]], {"lr": rates[::-1]}))
    assert "Low values of lr win early and lose late: rho −1.00" in " ".join(slow.sentences)


def test_a_rate_that_makes_no_difference_is_not_named(audited: Any) -> None:
    neutral = [3e-4, 1e-4, 6e-4, 8e-4, 7e-4, 2e-4, 5e-4, 4e-4]
    study = audited(UP, [[e] * 8 for e in UP[::-1]], {"lr_d": neutral})
    assert read(study).drift is None
    assert read(audited(UP, steady(UP), {"lr_g": [10.0**-i for i in range(8)]})).drift is None
    other = [1e-5 * 2**i for i in range(8)]
    assert read(audited(UP, [[e] * 8 for e in UP[::-1]], {"rate_lr": other})).drift is None


def test_a_leader_that_starts_slowly_asks_for_a_later_pruner(audited: Any) -> None:
    curves = steady(UP)
    curves[7][:2] = [-1.0, -1.0]
    audit = read(audited(UP, curves))
    assert audit.warm_up == 3
    assert audit.flags == "--epochs 2 --pruner none"
    told = " ".join(audit.sentences)
    assert "Use --epochs 2 --pruner none: the fewest epochs to be trusted, as the trials" in told
    assert "Only from epoch 3 on are the top 3 never in the worse half; left to itself the" in told
    (budget,) = (a for a in audit.budgets if a.epochs == 4)
    longer = replace(audit, trial=replace(audit.trial, rho=None), budgets=(budget,))
    assert longer.flags == "--epochs 4 --pruner median:3"


@pytest.mark.parametrize("epochs", [1, 3, 4, 12])
def test_the_median_pruner_leaves_alone_what_is_said(epochs: int) -> None:
    assert make_pruner("median", epochs)._n_warmup_steps == epochs // LEFT_ALONE  # type: ignore[attr-defined]


def test_the_figures_for_programs(audited: Any, tmp_path: Path) -> None:
    told = audit_json(read(audited(UP, steady(UP))))
    write_json(tmp_path / "audit.json", told)
    assert told["trial"]["rho"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (told["trusted_epochs"], told["flags"], told["warm_up"]) == (1, "--epochs 1", 1)


def test_configurations_that_are_all_alike_have_no_rho(audited: Any) -> None:
    study = audited([0.5] * 8, [[0.5] * LONG] * 8)
    assert read(study).trial.rho is None
    assert "cannot be ranked beside one of 8" in read(study).sentences[0]
    assert 'id="audit"' in write_report(study).read_text()


def test_the_page_has_the_section_only_with_an_audit(audited: Any, make: Any, made: Any) -> None:
    page = write_report(make([made(0.4), made(0.6, {"weight": 2.0})])).read_text()
    assert "How far a trial can be trusted" not in page
    study = audited(UP, steady(UP))
    page = write_report(study).read_text()
    assert page.index(">How far a trial can be trusted<") < page.index(">What mattered<")
    assert page.count('aria-label="Rho by epoch') == 1
    told = read(study).sentences[0]
    believe = page[page.index("Before you believe it") : page.index("</ul>")]
    assert told in believe
    assert told in cautions(summarize(study), read(study))
    cells = re.findall(r"the long run, so far</th>(.*?)</tr>", page)[-1]
    assert re.sub(r"<.*?>", " ", cells).split() == ["4", "1.00", "1.00", "to", "1.00", "3"]


def test_the_section_is_escaped(audited: Any) -> None:
    name = "lr<script>alert(1)</script>"
    rates = [1e-5 * 2**i for i in range(8)]
    study = audited(UP, [[e] * 8 for e in UP[::-1]], {name: rates})
    section = re.search(r'<section aria-labelledby="audit">.*?</section>',
                        write_report(study).read_text(), re.DOTALL)  # fmt: skip
    assert section
    assert "lr&lt;script&gt;alert(1)" in section[0]
    assert "<script" not in section[0]
