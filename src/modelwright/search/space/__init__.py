"""Search spaces: the language they are written in, and what algorithms may ask of them. Imports no torch."""

from modelwright.search.space.catalogue import space, space_names
from modelwright.search.space.domain import Domain
from modelwright.search.space.encoding import Encoding
from modelwright.search.space.feasible import feasible
from modelwright.search.space.language import make, parse_space, space_from
from modelwright.search.space.listed import Listed
from modelwright.search.space.narrow import narrow, with_data
from modelwright.search.space.numbers import precision_of, precisions_of, with_precisions
from modelwright.search.space.product import Product
from modelwright.search.space.rules import check_space
from modelwright.search.space.table import listed

__all__ = [
    "Domain",
    "Encoding",
    "Listed",
    "Product",
    "check_space",
    "feasible",
    "listed",
    "make",
    "narrow",
    "parse_space",
    "precision_of",
    "precisions_of",
    "space",
    "space_from",
    "space_names",
    "with_data",
    "with_precisions",
]
