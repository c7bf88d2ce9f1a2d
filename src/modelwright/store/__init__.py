"""What is kept: a journal that only grows, from which all state is told. Imports no torch."""

from modelwright.store.entry import Entry
from modelwright.store.journal import Journal
from modelwright.store.salvage import Salvaged, salvage

__all__ = ["Entry", "Journal", "Salvaged", "salvage"]
