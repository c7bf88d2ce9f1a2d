"""What bounds a kernel, in colours and words: each resource keeps its colour on every page."""

from collections.abc import Iterable, Mapping

from modelwright.records import Platform
from modelwright.report.markup import escape

_NEARER = ("var(--near)", "var(--nearer)", "var(--nearest)")
_FIXED = {"matrix": "var(--matrix)", "vector": "var(--vector)", "launch": "var(--launch)"}
_WORDS = {"matrix": "matrix units", "vector": "vector units", "launch": "launch (starting work)"}


def colour(bound: str, platform: Platform) -> str:
    """The colour of a bound: that of its unit, or of its memory level's distance from main memory."""
    if bound in _FIXED:
        return _FIXED[bound]
    names = [level.name for level in platform.memory]
    distance = len(names) - 1 - names.index(bound) if bound in names else 0
    return _NEARER[min(distance, len(_NEARER)) - 1] if distance else "var(--memory)"


def words(bound: str) -> str:
    """What a bound means."""
    return _WORDS.get(bound, f"{bound} bandwidth")


def order(platform: Platform) -> tuple[str, ...]:
    """All bounds of a platform in the one order in which they are stacked and listed: from the units outwards."""
    return ("matrix", "vector", *(level.name for level in platform.memory), "launch")


def met(platforms: Iterable[Platform], seconds: Iterable[Mapping[str, float]]) -> dict[str, str]:
    """Bound -> colour of all bounds that take any time, in their order."""
    taken = {name for held in seconds for name, value in held.items() if value > 0}
    found: dict[str, str] = {}
    for platform in platforms:
        found |= {name: colour(name, platform) for name in order(platform) if name in taken and name not in found}
    last = {name: found.pop(name) for name in ("launch",) if name in found}
    return {**found, **last}


def key(colours: Mapping[str, str]) -> str:
    """The key of the colours, as HTML."""
    items = (
        f'<li><i style="background:{escape(colour)}"></i>{escape(words(name))}</li>' for name, colour in colours.items()
    )
    return f'<ul class="key">{"".join(items)}</ul>\n'
