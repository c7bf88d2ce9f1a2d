"""What bounds a kernel, in colours and words: each sort of resource keeps its colour on every page."""

from collections.abc import Iterable, Mapping

from modelwright.records import Platform
from modelwright.report.charts import Card
from modelwright.report.markup import escape
from modelwright.report.quantity import quantity

_MEMORY = ("var(--memory)", "var(--near)", "var(--nearer)", "var(--nearest)")
_FIXED = {"matrix": "var(--matrix)", "vector": "var(--vector)", "launch": "var(--launch)"}
_ORDER = (_FIXED["matrix"], _FIXED["vector"], *reversed(_MEMORY), _FIXED["launch"])
_WORDS = {"matrix": "matrix units", "vector": "vector units", "launch": "launch (starting work)"}


def colour(bound: str, platform: Platform) -> str:
    """The colour of a bound: that of its unit, or of its memory level's distance from main memory."""
    if bound in _FIXED:
        return _FIXED[bound]
    outwards = [level.name for level in reversed(platform.memory)]
    return _MEMORY[min(outwards.index(bound), len(_MEMORY) - 1)] if bound in outwards else _MEMORY[0]


def words(bound: str) -> str:
    """What a bound means."""
    return _WORDS.get(bound, f"{bound} bandwidth")


def tinted(seconds: Mapping[str, float], platform: Platform) -> dict[str, float]:
    """Seconds under each bound as seconds of each colour."""
    found: dict[str, float] = {}
    for bound, value in seconds.items():
        tint = colour(bound, platform)
        found[tint] = found.get(tint, 0.0) + value
    return found


def met(pairs: Iterable[tuple[Mapping[str, float], Platform]]) -> dict[str, str]:
    """The colours under which any time is spent, from the units outwards, with the bounds that each stands for.

    Args:
        pairs: seconds under each bound, and the platform on which they were spent.
    """
    names: dict[str, dict[str, None]] = {}
    for seconds, platform in pairs:
        for bound, value in seconds.items():
            if value > 0:
                names.setdefault(colour(bound, platform), {})[bound] = None
    return {tint: "/".join(names[tint]) for tint in _ORDER if tint in names}


def key(tints: Mapping[str, str]) -> str:
    """The key of the colours, as HTML."""
    items = (
        f'<li><i style="background:{escape(tint)}"></i>{escape(words(bounds))}</li>' for tint, bounds in tints.items()
    )
    return f'<ul class="key">{"".join(items)}</ul>\n'


def card(heading: str, seconds: Mapping[str, float], *facts: tuple[str, str]) -> Card:
    """A card that says what time is spent under: some facts, then each bound, the longest first, then all together."""
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    spent = tuple((words(bound), quantity(value, "s")) for bound, value in longest if value > 0)
    return (heading, *facts, *spent, ("all", quantity(sum(seconds.values()), "s")))
