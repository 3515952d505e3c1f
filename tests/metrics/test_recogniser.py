from __future__ import annotations

import torch

from core.data.glyphs import GlyphParams, load_glyphs
from core.metrics.ink import ink
from core.metrics.recogniser import disturb, read, train_recogniser

CPU = torch.device("cpu")


def glyph_ink() -> tuple[torch.Tensor, torch.Tensor]:
    params = GlyphParams(source_font="DejaVu Sans", target_font="DejaVu Serif", characters="ascii",
                         size=32)  # fmt: skip
    data = load_glyphs(params)
    both = [ink(t) for t in data.tensors(range(len(data.characters)), 1)]
    return both[0], both[1]


def test_it_reads_both_fonts_what_it_never_saw_disturbed_so_and_not_a_blank_page() -> None:
    sans, serif = glyph_ink()
    labels = torch.arange(len(sans))
    torch.manual_seed(0)
    net, accuracy = train_recogniser(torch.cat([sans, serif]), labels.repeat(2), CPU)
    assert accuracy > 0.7
    torch.manual_seed(99)
    for font in (sans, serif):
        assert (read(net, font, CPU) == labels).float().mean() > 0.9
        moved = font.roll((1, -1), (1, 2))
        assert (read(net, moved, CPU) == labels).float().mean() > 0.8
    blank = torch.zeros_like(sans)
    assert (read(net, blank, CPU) == labels).float().mean() < 0.05
    assert (read(net, sans.flip(0), CPU) == labels).float().mean() < 0.05


def test_disturbing_changes_every_glyph_keeps_it_ink_and_follows_the_seed() -> None:
    sans, _ = glyph_ink()
    torch.manual_seed(1)
    first = disturb(sans)
    torch.manual_seed(1)
    assert torch.equal(disturb(sans), first)
    assert first.shape == sans.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert ((first - sans).abs().mean((1, 2)) > 0).all()
