"""Pages: self-contained HTML files made from records. They open offline and ask no host for anything."""

from modelwright.report.cost import cost_page
from modelwright.report.whatif import whatif_page

__all__ = ["cost_page", "whatif_page"]
