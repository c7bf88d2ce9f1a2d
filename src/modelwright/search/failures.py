"""What goes wrong with one candidate, and must not end the search of all others."""

from modelwright.errors import ModelwrightError

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    ModelwrightError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch, Modelwright and users' own makers raise about a network; a disk that fails raises another kind."""


def told(failure: BaseException) -> str:
    """Why, in one line: Modelwright's own words, or the kind of the error and what it says."""
    text = " ".join(str(failure).split())[:300]
    return text if isinstance(failure, ModelwrightError) else f"{type(failure).__name__}: {text}"
