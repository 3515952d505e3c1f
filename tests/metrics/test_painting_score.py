"""The painting score's formulas, by values worked out by hand."""

from __future__ import annotations

import pytest

from core.metrics.painting_score import scaled, style_and_content, violations

PERFECT = {"painted": 1.0, "diversity": 0.5, "breadth": 0.5, "forms": 0.35, "spectrum": 1.25,
           "copied": 0.0,"structure": 1.0, "light": 0.8, "recall": 1.0}  # fmt: skip


@pytest.mark.parametrize(("part", "value", "style", "content"), [
    ("painted", 0.5, 0.5, 1),
    ("painted", 1e-9, 1e-9, 1),
    ("painted", 3.0, 1, 1),
    ("diversity", 0.25, 0.5, 1),
    ("diversity", 2.0, 1, 1),
    ("breadth", 0.4, 0.25, 1),
    ("breadth", 0.3, 0.01, 1),
    ("breadth", 0.1, 0.01, 1),
    ("breadth", 1.0, 1, 1),
    ("forms", 0.475, 0.5, 1),
    ("forms", 0.6, 0.1, 1),
    ("forms", 0.1, 1, 1),
    ("spectrum", 2.25, 0.25, 1),
    ("spectrum", 4.25, 0.1, 1),
    ("spectrum", 0.0, 1, 1),
    ("copied", 0.25, 0.75, 1),
    ("copied", 1.0, 0, 1),
    ("structure", 0.25, 1, 0.5),
    ("structure", 0.0, 1, 0),
    ("light", 0.4, 1, 0.25),
    ("light", 0.0, 1, 0.01),
    ("light", -1.0, 1, 0.01),
    ("light", 1.0, 1, 1),
    ("recall", 0.5, 1, 0.5),
])  # fmt: skip
def test_each_part_alone(part: str, value: float, style: float, content: float) -> None:
    assert style_and_content(PERFECT) == style_and_content({}) == (1, 1)
    found = style_and_content({**PERFECT, part: value})
    assert found == pytest.approx((style, content), abs=1e-12)


def test_parts_multiply() -> None:
    parts = {"painted": 0.5, "diversity": 0.25, "breadth": 0.4, "forms": 0.475, "spectrum": 2.25,
             "copied": 0.5,
             "structure": 0.25, "light": 0.4, "recall": 0.5}  # fmt: skip
    assert style_and_content(parts) == pytest.approx((0.5 * 0.5 * 0.25 * 0.5 * 0.25 * 0.5, 0.0625))


def test_guards_break_beyond_their_bounds() -> None:
    kept = {"unrelated": -0.75, "one_for_all": -0.25, "copies": -0.5, "negative": -0.8}
    assert violations(PERFECT) == kept
    bad = violations({"recall": 0.125, "diversity": 0.0, "copied": 0.75, "light": -0.5})
    assert bad == {"unrelated": 0.125, "one_for_all": 0.25, "copies": 0.25, "negative": 0.5}


def test_the_value_has_the_products_order_on_a_scale_that_can_be_read() -> None:
    products = [0.0, 5e-324, 1e-9, 1e-4, 0.01, 0.19, 0.5, 0.76, 1.0]
    values = [scaled(product) for product in products]
    assert values == sorted(set(values))
    assert (values[0], values[-1], scaled(1.000001)) == (0, 1, 1)
    assert scaled(1e-9) == pytest.approx(0.0096, abs=1e-4)
    assert scaled(0.19) == pytest.approx(scaled(0.76) / 4, rel=0.02)
