"""The pages that reviewers see, as HTML. Templates escape all that they are given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, final

from jinja2 import Environment, PackageLoader, StrictUndefined

from modelwright.records import ReviewItem, Verdict
from modelwright.web.review.desk import Seat, Standing
from modelwright.web.review.inputs import Numbers, Picture

SHOWN = 784
"""Numbers of an input that are shown at most: a picture of 28 x 28."""

_EXCERPT = 300
_FILTERED = 12


@final
@dataclass(frozen=True)
class Shown:
    """What every page shows.

    Attributes:
        queue: its file's name.
        reviewer: who looks; "" before that is known.
        standing: how the queue stands; None where it could not be read.
        classes: those that a verdict may name; none for any word.
        error: what has gone wrong; "" where nothing has.
    """

    queue: str
    reviewer: str = ""
    standing: Standing | None = None
    classes: Sequence[str] = ()
    error: str = ""


def enter_page(shown: Shown, *, token: bool, name: bool) -> str:
    """The page that asks for the token and for the reviewer's name, where these are needed."""
    return _page("enter.html", shown, asks_token=token, asks_name=name)


def start_page(shown: Shown) -> str:
    """How the queue stands, and a button that takes the next item."""
    return _page("start.html", shown)


def item_page(shown: Shown, seat: Seat, look: Picture | Numbers | None, beat_s: float) -> str:
    """An item, and the buttons that give it its class."""
    return _page("item.html", shown, seat=seat, beat_s=beat_s, **_looks(shown, seat.item, look, seat.twins))


def amend_page(
    shown: Shown, own: tuple[ReviewItem, Verdict], look: Picture | Numbers | None, seat: Seat | None, beat_s: float
) -> str:
    """An item that has a verdict of the reviewer's, to give it another; `seat` is where they go on."""
    item, verdict = own
    return _page("amend.html", shown, verdict=verdict, seat=seat, beat_s=beat_s, **_looks(shown, item, look, ()))


def error_page(shown: Shown) -> str:
    """What has gone wrong, and how to go on."""
    return _page("error.html", shown)


def _looks(
    shown: Shown, item: ReviewItem, look: Picture | Numbers | None, twins: Sequence[ReviewItem]
) -> Mapping[str, Any]:
    """What a template needs to show an item. Its reason stays out: whoever knows of an audit judges otherwise."""
    numbers = look if isinstance(look, Numbers) else None
    features = Numbers((len(item.vector),), item.vector) if item.vector else None
    bare = not item.text and look is None
    return {
        "item": item,
        "picture": look if isinstance(look, Picture) else None,
        "numbers": numbers or (features if bare else None),
        "features": None if numbers or bare else features,
        "twins": [(twin.key, _excerpt(twin.text)) for twin in twins[:5]],
        "more_twins": max(0, len(twins) - 5),
        "classes": list(_keyed(shown.classes)),
        "words": shown.standing.words if shown.standing else (),
        "most": SHOWN,
        "filtered": _FILTERED,
    }


def _keyed(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each class with its key: numbers from 1, but names themselves where one of them is a number."""
    alone = not any(name.isdecimal() for name in classes)
    for number, name in enumerate(classes, 1):
        yield name, str(number) if alone else name if name.isascii() and name.isdecimal() else ""


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def _number(value: float | None) -> str:
    """A number with three figures; "unavailable" where there is none."""
    return "unavailable" if value is None else f"{value:.3g}"


def _why(reason: str) -> str:
    """Why an item was in the queue, for who has judged it."""
    if reason == "audit":
        return "an audit: the guard had accepted it"
    return f"the guard had deferred it: {reason}" if reason else "the guard had deferred it"


def _page(template: str, shown: Shown, **values: Any) -> str:
    return _environment().get_template(template).render(shown=shown, **values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("modelwright.web.review", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": _number, "why": _why}
    return made
