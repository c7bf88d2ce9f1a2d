"""One way to say how a number was got."""

from collections.abc import Iterator, Sequence

from modelwright.hardware.catalogue import claims, numbers, source_of
from modelwright.records import Estimate, Platform
from modelwright.records.sweep import Sweep
from modelwright.report.markup import Data, bullets, details, paragraph, table

_ESTIMATES = "These are estimates of Modelwright's performance model, not measurements. "
METHOD = (
    "A kernel takes as long as the busiest of the resources it needs: the matrix units, after its products are padded "
    "to their tiles; the vector units; each level of memory, after what nearer levels keep; and starting the work. "
    "Kernels follow one another. The numbers of a platform are published ones unless their source says measured or "
    "assumed."
)
"""How the performance model reckons."""


def provenance(platforms: Sequence[Platform], results: Sequence[Estimate | Sweep]) -> str:
    """The closing part of a page, as HTML: the method, the settings, what is uncertain, and every number's source.

    Args:
        platforms: that the page speaks of.
        results: that it shows.
    """
    return "".join(
        [
            paragraph(_ESTIMATES + METHOD),
            bullets([*_settings(results), *unknown_operators(results)]),
            *(sources(platform) for platform in platforms),
        ]
    )


def unknown_operators(results: Sequence[Estimate | Sweep]) -> list[str]:
    """A sentence a network that holds operators which no rule describes."""
    by_network = {result.architecture: result.unknown for result in results if result.unknown}
    return [
        f"{network}: no rule describes {', '.join(targets)}; costed by the bytes they move, without their arithmetic."
        for network, targets in by_network.items()
    ]


def _settings(results: Sequence[Estimate | Sweep]) -> Iterator[str]:
    seen: dict[tuple[str, str, str], list[int]] = {}
    for result in results:
        batches = seen.setdefault((result.platform, result.precision, result.execution), [])
        batches += [result.batch] if result.batch not in batches else []
    for (platform, precision, execution), batches in seen.items():
        yield f"{platform}: batch {', '.join(map(str, batches))}, precision {precision}, execution {execution}."


def sources(platform: Platform) -> str:
    """A platform's numbers with the source of each, as HTML to open."""
    values, keys = numbers(platform), claims(platform)
    rows = [
        (key, f"{values[key]:g}" if key in values else " ".join(f"{m}x{n}" for m, n in platform.matrix.tiles), source)
        for key in keys
        if (source := source_of(platform, key))
    ]
    assumed = sum(source.startswith("assumed") for *_, source in rows)
    told = f"{len(rows)} numbers, {assumed} of them assumed" if assumed else f"{len(rows)} numbers"
    notes = paragraph(platform.notes.strip(), "note") if platform.notes.strip() else ""
    return details(f"{platform.title}: {told}", notes, table(Data(("number", ">value", "source"), tuple(rows))))
