"""What a run has to say to a person: one page that stands alone, and a few lines for the terminal.

from manako.report import ReportContent, write_report
"""

from manako.report.content import Choice, Explain, ReportContent
from manako.report.text import curves_text, evaluation_text
from manako.report.write import write_report

__all__ = ["Choice", "Explain", "ReportContent", "curves_text", "evaluation_text", "write_report"]
