"""The review page: people go through what a guard deferred, an item at a time, in a browser."""

from modelwright.web.review.app import review_app
from modelwright.web.review.desk import Desk, Seat, Standing
from modelwright.web.review.inputs import (
    Inputs,
    Numbers,
    Picture,
    inputs_in_array,
    inputs_in_folder,
    no_inputs,
)

__all__ = [
    "Desk",
    "Inputs",
    "Numbers",
    "Picture",
    "Seat",
    "Standing",
    "inputs_in_array",
    "inputs_in_folder",
    "no_inputs",
    "review_app",
]
