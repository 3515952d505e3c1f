"""The best-trial report: one self-contained page, the same in Markdown, and best.json."""

from core.report.page import write_report

__all__ = ["write_report"]
