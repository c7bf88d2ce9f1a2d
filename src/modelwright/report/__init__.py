"""Pages: self-contained HTML files made from records. They open offline and ask no host for anything."""

from modelwright.report.compare import compare_page
from modelwright.report.cost import cost_page
from modelwright.report.guard import guard_page
from modelwright.report.quantize import quantize_page, quantize_table
from modelwright.report.search import result, search_page
from modelwright.report.whatif import whatif_page

__all__ = [
    "compare_page",
    "cost_page",
    "guard_page",
    "quantize_page",
    "quantize_table",
    "result",
    "search_page",
    "whatif_page",
]
