"""Pages: one self-contained HTML file a run, for a person to read."""

from graphtide.report.page import write_report

__all__ = ["write_report"]
