"""The glyph evaluator's exam: its cases beside a trained model's outputs; writes glyph_exam.md.

python -m benchmarks.glyph_exam runs/STUDY/TRIAL
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import torch

from core.files import write_bytes
from core.params import load_task, validate_params
from core.record import Record, Study
from core.report.origin import train_again
from core.report.summary import summarize
from core.task import Score
from evaluators.glyph import rank

PARTS = ("fixed_l1", "iou", "f1", "ssim", "ink", "darkness", "grey", "recognised")


def line(name: str, score: Score) -> str:
    """A row of the table."""
    broken = ", ".join(guard for guard, amount in score.violations.items() if amount > 0)
    figures = " | ".join(f"{score.parts[part]:.3f}" for part in PARTS)
    return f"| {name} | {figures} | {broken or 'none'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trial", type=Path, help="the folder of a finished glyph trial")
    trial = parser.parse_args().trial
    record = Record(trial)
    task = load_task(record.trial()["task"])
    params = validate_params(task.params, record.trial()["params"])
    model = task.build(params, task.load(params), torch.device("cpu"))
    model.load_state_dict(torch.load(record.checkpoint, weights_only=True)["model"])
    evaluator = task.evaluator(params)
    evaluator.prepare(task.load(params), Path("runs/evaluators"), print)
    made = model.outputs()
    scores = {f"**{task.name}, trained**": evaluator(made)}
    scores |= {case.name: evaluator(case.outputs) for case in evaluator.exam(task.load(params))}
    ranked = sorted(scores, key=lambda name: rank(scores[name]))
    rows = "\n".join(line(name, scores[name]) for name in ranked)
    study = summarize(Study(trial.parent))
    row = next(row for row in study.rows if row.record.folder == trial)
    about = "\n".join(f"- {note}" for note in record.trial()["notes"])
    text = f"""# The glyph evaluator's exam

`python -m benchmarks.glyph_exam {trial}`, {datetime.now(UTC):%Y-%m-%d}. Best first, as the evaluator \
ranks them:
guards first, then fixed L1. The trained model saw {len(record.epochs())} epochs:
`{train_again(study, row)}`

{about}

| output | {" | ".join(PARTS)} | guards broken |
|---|{"---|" * len(PARTS)}---|
{rows}
"""
    write_bytes(Path(__file__).with_suffix(".md"), text.encode())
    print(text)


if __name__ == "__main__":
    main()
