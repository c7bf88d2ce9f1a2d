"""Search algorithms held against one another on tables, in which every candidate's outcome is known."""

from modelwright.search.bench.race import Outcome, Race
from modelwright.search.bench.table import Table, read_table

__all__ = ["Outcome", "Race", "Table", "read_table"]
