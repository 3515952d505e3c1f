"""The glyph judge's exam: its cases beside a trained model's outputs; writes glyph_exam.md.

python -m benchmarks.glyph_exam runs/STUDY/TRIAL
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import torch

from core.catalog import load_task
from core.flags import make
from core.record import Record, Study, write_bytes
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
    params = make(task.params, record.trial()["params"])
    model = task.build(params, task.load(params), torch.device("cpu"))
    model.load_state_dict(torch.load(record.checkpoint, weights_only=True)["model"])
    judge = task.evaluator(params)
    judge.prepare(task.load(params), Path("runs/evaluators"), print)
    made = model.samples()
    scores = {f"**{task.name}, trained**": judge(made)}
    scores |= {case.name: judge(case.samples) for case in judge.exam(task.load(params))}
    ranked = sorted(scores, key=lambda name: rank(scores[name]))
    rows = "\n".join(line(name, scores[name]) for name in ranked)
    study = summarize(Study(trial.parent))
    row = next(row for row in study.rows if row.record.folder == trial)
    about = "\n".join(f"- {note}" for note in record.trial()["notes"])
    text = f"""# The glyph judge's exam

`python -m benchmarks.glyph_exam {trial}`, {datetime.now(UTC):%Y-%m-%d}. Best first, as the judge \
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
