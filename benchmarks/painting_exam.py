"""What each part of the painting score is for: an exam scored anew without it.

gantune exam cyclegan --data DIR
python -m benchmarks.painting_exam runs/evaluators/exam-HASH.json --told "DIR, machine, date"
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.files import read_json, write_bytes
from core.metrics.painting_score import PARTS, harmonic, style_and_content

Parts = Mapping[str, float]
TOGETHER = (
    ("structure", "recall"),
    ("painted", "near", "beyond"),
    ("structure", "recall", "copied"),
    ("structure", "recall", "copied", "diversity"),
    ("near", "spectrum"),
)


def value(parts: Parts, without: Iterable[str] = ()) -> float:
    """The painting score of these parts, some left out."""
    gone = set(without)
    return harmonic(*style_and_content({p: parts[p] for p in PARTS if p not in gone}))


def ablation(cases: list[Mapping[str, Any]], without: tuple[str, ...]) -> str:
    """A row: what the good outputs score then, and who comes nearest."""
    good = max(value(case["parts"], without) for case in cases if case["good"])
    shares = [(value(c["parts"], without) / good, c["name"]) for c in cases if not c["good"]]
    shares.sort(reverse=True)
    passing = [f"{name} {share:.2f}" for share, name in shares if share >= 0.5]
    (nearest, name) = shares[0]
    named = ", ".join(without) or "nothing"
    return f"| {named} | {good:.3f} | {name} {nearest:.2f} | {', '.join(passing) or 'none'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exam", type=Path, help="an exam kept under runs/evaluators")
    parser.add_argument("--told", default="", help="data, machine and date, for the table's title")
    arguments = parser.parse_args()
    exam = read_json(arguments.exam)
    cases = exam["cases"]
    head = " | ".join(PARTS)
    rows = "\n".join(
        f"| {'**' + c['name'] + '**' if c['good'] else c['name']} | {c['value']:.3f} | "
        f"{c['value'] / exam['reference']:.2f} | "
        + " | ".join(f"{c['parts'][part]:.2f}" for part in PARTS)
        + f" | {', '.join(c['broken']) or 'none'} |"
        for c in cases
    )
    removed = [(), *((part,) for part in PARTS), *TOGETHER]
    ablated = "\n".join(ablation(cases, without) for without in removed)
    text = f"""# The painting evaluator's exam

{arguments.told}. {exam["inputs"]} validation photographs; good outputs in bold, the best of them is
the reference.

| outputs | value | of good | {head} | guards broken |
|---|---:|---:|{"---:|" * len(PARTS)}---|
{rows}

## Without a part

The same outputs, scored without some of the parts: what good outputs score then, who comes nearest
to them (as a share of that), and who would fail the exam with half or more.

| without | good | nearest | fails the exam |
|---|---:|---|---|
{ablated}
"""
    write_bytes(Path(__file__).with_suffix(".md"), text.encode())
    print(text)


if __name__ == "__main__":
    main()
