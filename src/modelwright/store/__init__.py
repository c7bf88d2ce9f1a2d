"""What is kept: a journal that only grows, and folders that appear whole, with the digests of their files. No torch."""

from modelwright.store.digests import check_files, digest, file_of, read
from modelwright.store.entry import Entry
from modelwright.store.folder import whole_folder
from modelwright.store.journal import Journal
from modelwright.store.salvage import Salvaged, salvage

__all__ = [
    "Entry",
    "Journal",
    "Salvaged",
    "check_files",
    "digest",
    "file_of",
    "read",
    "salvage",
    "whole_folder",
]
