"""What each part of the painting score is for: an exam, scored again without it.

gantune exam cyclegan --data DIR
python -m benchmarks.painting_exam runs/evaluators/exam-HASH.json --origin "DIR, machine, date"
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.table import save, table
from core.files import read_json
from core.metrics.painting_score import PARTS, scaled, style_and_content

TOGETHER = (("structure", "recall"), ("breadth", "spectrum"), ("structure", "recall", "copied"))


def score_without(parts: Mapping[str, float], without: Iterable[str] = ()) -> float:
    """The painting score of these parts, some left out."""
    removed = set(without)
    style, content = style_and_content({p: parts[p] for p in PARTS if p not in removed})
    return scaled(style * content)


def ablation(exam: Mapping[str, Any], without: tuple[str, ...]) -> list[str]:
    """A row: what the good outputs score without some parts, and who comes nearest."""
    scored = [(score_without(c["parts"], without), c["name"], c["good"]) for c in exam["cases"]]
    good = max(value for value, _, kind in scored if kind)
    shares = sorted([(value / good, name) for value, name, kind in scored if kind is False])[::-1]
    winners = [f"{name} {share:.2g}" for share, name in shares]
    failing = ", ".join(winners[: sum(share > exam["margin"] for share, _ in shares)])
    return [", ".join(without) or "nothing", f"{good:.3g}", winners[0], failing or "none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exam", type=Path, help="an exam kept under runs/evaluators")
    parser.add_argument("--origin", default="", help="data, machine and date, for the first line")
    arguments = parser.parse_args()
    exam = read_json(arguments.exam)
    rows = []
    for case in exam["cases"]:
        mark = {True: "**", None: "*"}.get(case["good"], "")
        figures = [f"{case['value']:.3g}", f"{case['value'] / exam['reference']:.2g}"]
        figures += [f"{case['parts'][part]:.2g}" for part in PARTS]
        name = f"{mark}{case['name']}{mark}"
        rows.append([name, *figures, ", ".join(case["broken"]) or "none"])
    removed = [(), *((part,) for part in PARTS), *TOGETHER]
    ablations = [ablation(exam, without) for without in removed]
    source = f"{arguments.origin}. {exam['inputs']} validation photographs"
    scores = table(["outputs", "value", "of good", *PARTS, "guards broken"], rows)
    save(
        __file__, source, scores, table(["without", "good", "nearest", "fails the exam"], ablations)
    )


if __name__ == "__main__":
    main()
