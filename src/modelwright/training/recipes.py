"""Recipes that are sensible to begin with, by data set."""

import msgspec

from modelwright.records import Recipe
from modelwright.training.data.data import Data

_KNOWN = {
    "digits": {"flip": False},
    "fashion-mnist": {"flip": True},
}
"""Data set -> what is known of it that its numbers do not tell."""


def recipe_for(data: Data) -> Recipe:
    """A recipe to begin with."""
    base = Recipe()
    return msgspec.structs.replace(base, **_KNOWN.get(data.name, {}))
