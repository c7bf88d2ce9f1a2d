"""Search spaces: the language they are written in, and what algorithms may ask of them. Imports no torch."""

from modelwright.search.space.domain import Domain
from modelwright.search.space.encoding import Encoding
from modelwright.search.space.listed import Listed
from modelwright.search.space.product import Product
from modelwright.search.space.rules import check_space
from modelwright.search.space.table import listed

__all__ = ["Domain", "Encoding", "Listed", "Product", "check_space", "listed"]
