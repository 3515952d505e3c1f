"""Studies from Python: `gantune.load("runs/demo").best`, `.baseline`, `.to_dataframe()`."""

from core import __version__
from core.report.summary import Summary, load
from core.task import UserError

__all__ = ["Summary", "UserError", "__version__", "load"]
