"""The old name of core.report.format; goes when nothing imports it any more."""

from core.report.format import count, decimals, duration, fixed, gap, plain, signed

__all__ = ["count", "decimals", "duration", "fixed", "gap", "plain", "signed"]
