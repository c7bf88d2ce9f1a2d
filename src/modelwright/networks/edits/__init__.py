"""Edits: single changes to an architecture that might suit an accelerator better; a file a kind of block, no torch."""

from modelwright.networks.edits.edit import Edit
from modelwright.networks.edits.offer import edits

__all__ = ["Edit", "edits"]
