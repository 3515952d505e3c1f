"""The glyph evaluator's exam: its cases beside a trained model's outputs.

python -m benchmarks.glyph_exam runs/STUDY/TRIAL          writes benchmarks/glyph_exam.md
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import torch

from benchmarks.table import origin, save, table
from core.checkpoint import restore_networks
from core.params import flag, load_task, validate_params
from core.record import Record
from evaluators.glyph import rank

PARTS = ("fixed_l1", "iou", "f1", "ssim", "ink", "darkness", "grey", "recognised")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trial", type=Path, help="the folder of a finished glyph trial")
    record = Record(parser.parse_args().trial)
    task = load_task(record.trial()["task"])
    params = validate_params(task.params, record.trial()["params"])
    data = task.load(params)
    model = task.build(params, data, torch.device("cpu"))
    restore_networks(model, record)
    evaluator = task.evaluator(params)
    evaluator.prepare(data, Path("runs/evaluators"), print)
    scores = {f"**{task.name}, trained**": evaluator(model.outputs())}
    scores |= {case.name: evaluator(case.outputs) for case in evaluator.exam(data)}
    rows = [
        [name, *(f"{score.parts[part]:.3f}" for part in PARTS), ", ".join(score.broken) or "none"]
        for name, score in sorted(scores.items(), key=lambda item: rank(item[1]))
    ]
    changed = [(k, v) for k, v in params if v != task.params.model_fields[k].default]
    flags = shlex.join(word for k, v in changed for word in (flag(k), str(v)))
    trained = f"{len(record.epochs())} epochs of `python -m trials.{task.name} {flags}`"
    source = "; ".join([origin(), trained, *record.trial()["notes"]])
    save(__file__, source, table(["output", *PARTS, "guards broken"], rows))


if __name__ == "__main__":
    main()
