from __future__ import annotations

import pytest
import torch

from core.metrics.ink import darkness, ink, ink_ratio, iou, tolerant_f1
from core.models.losses import fixed_l1, grey


def square(side: int = 16, at: int = 4, size: int = 6, paper: float = 1.0) -> torch.Tensor:
    """A black square on white paper, 1 x 1 x side x side."""
    page = torch.full((1, 1, side, side), paper)
    page[..., at : at + size, at : at + size] = -1.0
    return page


def test_ink_is_0_on_paper_and_1_in_black() -> None:
    drawn = ink(square())
    assert drawn.shape == (1, 16, 16)
    assert (drawn.min(), drawn.max()) == (0, 1)
    assert drawn.sum() == 36


def test_a_blank_page_has_a_fixed_l1_of_exactly_1_whatever_the_glyph() -> None:
    targets = torch.cat([square(size=k) for k in (1, 3, 9)])
    assert fixed_l1(torch.ones_like(targets), targets).tolist() == [1, 1, 1]
    assert fixed_l1(targets, targets).tolist() == [0, 0, 0]


def test_a_half_faded_copy_has_half() -> None:
    target = square()
    faded = 1 - (1 - target) / 2
    assert fixed_l1(faded, target).tolist() == pytest.approx([0.5])


def test_overlap_by_hand() -> None:
    a, b = ink(square(at=4)), ink(square(at=5))  # 6 x 6 squares, one pixel apart both ways
    assert iou(a, b).tolist() == pytest.approx([25 / 47])
    assert tolerant_f1(a, b).tolist() == [1]  # one pixel off still counts
    assert tolerant_f1(a, ink(square(at=7))).item() < 0.5
    blank = torch.zeros_like(a)
    assert iou(blank, a).tolist() == tolerant_f1(blank, a).tolist() == [0]


def test_how_much_ink_and_how_dark() -> None:
    target = ink(square())
    assert ink_ratio(target, target) == 1
    assert ink_ratio(target / 2, target) == 0.5
    assert darkness(target) == 1
    assert darkness(target / 2) == 0.5
    assert darkness(torch.zeros_like(target)) == 0


def test_grey_mass() -> None:
    assert grey(square()).item() == 0
    assert grey(torch.zeros(2, 1, 4, 4)).item() == 1
