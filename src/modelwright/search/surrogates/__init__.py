"""Predictors of what a point would give, with how sure they are, from the points that were evaluated."""

from modelwright.search.surrogates.distance import distances
from modelwright.search.surrogates.forest import Forest
from modelwright.search.surrogates.gaussian_process import GaussianProcess
from modelwright.search.surrogates.skew import bound_below, unwarped, warped

__all__ = ["Forest", "GaussianProcess", "bound_below", "distances", "unwarped", "warped"]
