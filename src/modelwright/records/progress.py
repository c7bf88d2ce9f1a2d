"""How far long work is: what every stage tells, and every face shows."""

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """A step of long work.

    Attributes:
        stage: a word for the part of the work, such as "search" or "train".
        done: steps of this stage that are over.
        total: steps of this stage.
        message: what is being done.
        best: the most accurate candidate so far that is allowed, as (accuracy, cost); None before there is one.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    best: tuple[float, float] | None = None
