"""The page of `modelwright explain`, and its words and rows: where the time goes, and what would change that."""

from collections.abc import Iterator, Sequence

from modelwright.records import Estimate, Platform
from modelwright.records.advice import Advice, Bottleneck, Explanation, Outcome
from modelwright.report.bounds import colour, met, words
from modelwright.report.charts import PERCENT, SECONDS, Axis, Card, Series, rows, rows_height
from modelwright.report.markup import Chart, Data, details, figure, grid, paragraph, section, table
from modelwright.report.page import page
from modelwright.report.provenance import provenance
from modelwright.report.quantity import quantity, share

DRAWN = 15
"""So many bottlenecks and pieces of advice get a bar; the others stand in the tables alone."""
REASONS = 8
"""So many bottlenecks have their reason told on the page itself."""

_WORDS = {
    "fuse": "fuse the MBConv blocks of {place}",
    "unfuse": "make the convolutions of {place} depthwise",
    "space-to-depth": "space-to-depth at the start of {place}",
    "space-to-batch": "space-to-batch in {place}",
    "activation": "ReLU in {place}",
    "hard-swish": "hard-swish in {place}",
    "kernel": "3x3 kernels in {place}",
    "expansion": "expand four times in {place}",
    "squeeze": "no squeeze-and-excitation in {place}",
    "narrow-squeeze": "narrower squeeze-and-excitation in {place}",
    "hidden": "hidden channels that fit the matrix units in {place}",
    "width": "channels that fit the matrix units, {place}",
    "wider-groups": "wider groups in {place}",
    "no-groups": "no groups in {place}",
    "no-split-attention": "no split attention in {place}",
    "stride": "strides in place of pooling in {place}",
    "one-convolution": "one convolution in the {place}",
    "heads": "fewer and wider heads in {place}",
    "kv-heads": "fewer heads of keys and values in {place}",
    "norm": "RMS norm in {place}",
    "patch": "larger patches in the {place}",
    "class-token": "the tokens' mean instead of a class token",
}

_RUN = {
    "eager": "run it step by step",
    "compiled": "compile it",
    "graph": "capture it as a graph",
    "engine": "build one engine",
}
_SET = {
    "batch": "more samples at once",
    "precision": "narrower numbers",
    "channels-last": "images in N,H,W,C order",
}

NARROWER = "Narrower numbers need a check of accuracy."
ACCURACY = "How accurate the network would be after training with the change is not predicted."
NO_RECORD = "A module of your own is no architecture record whose stages could be changed: no advice on its structure."


def headline(found: Explanation) -> str:
    """The network, the setting, the time and what it mostly goes to, in one sentence."""
    now = found.now
    spent = share(now.bound_s.get(found.bound, 0.0), now.latency_s)
    return (
        f"{found.architecture} on {found.platform}, {setting(now)}: {quantity(now.latency_s, 's')} a batch, "
        f"{quantity(now.batch / now.latency_s)} samples/s; {spent} under {words(found.bound)}"
    )


def setting(found: Outcome) -> str:
    """Batch, precision and execution."""
    return f"batch {found.batch}, {found.precision} {found.execution}"


def where(found: Bottleneck) -> str:
    """The place of a bottleneck in words."""
    return found.layer or "the whole run"


def bottleneck_rows(found: Explanation) -> Data:
    """One row a bottleneck, without its reason."""
    headings = ("where", "bound", ">kernels", ">spends", ">of all", ">removing saves", ">of all")
    whole = found.now.latency_s
    cells = tuple(
        (
            *(where(b), b.bound, str(b.kernels), quantity(b.spent_s, "s"), share(b.spent_s, whole)),
            *(quantity(b.saving_s, "s"), share(b.saving_s, whole)),
        )
        for b in found.bottlenecks
    )
    return Data(headings, cells)


def advice_rows(advice: Sequence[Advice], first: int = 1) -> Data:
    """One row a change to the architecture, without what exactly it changes."""
    headings = (">", "change", ">saves", ">latency", ">params", ">MACs")
    cells = tuple(
        (
            *(str(number), title(a), saved(a), quantity(a.after.latency_s, "s")),
            *(grown(a.before.params, a.after.params), grown(a.before.macs, a.after.macs)),
        )
        for number, a in enumerate(advice, first)
    )
    return Data(headings, cells)


def setting_rows(advice: Sequence[Advice]) -> Data:
    """One row a change to the setting."""
    headings = ("change", ">saves", ">latency", ">samples/s", "that is")
    cells = tuple(
        (changes(a), saved(a), quantity(a.after.latency_s, "s"), quantity(1.0 / a.after.sample_s), title(a))
        for a in advice
    )
    return Data(headings, cells)


def title(advice: Advice) -> str:
    """What is done and where, in words."""
    if advice.kind == "setting":
        return _RUN[advice.after.execution] if advice.word == "execution" else _SET[advice.word]
    return _WORDS.get(advice.word, "{word} in {place}").format(word=advice.word, place=advice.place)


def saved(advice: Advice) -> str:
    """The share of the time a sample that advice saves: "13.2%"."""
    return f"{100 * advice.gain:.1f}%"


def grown(before: float, after: float) -> str:
    """A number after a change, and how much larger or smaller it is: "616 M (+60%)"."""
    change = round(100 * (after / before - 1)) if before else 0
    return f"{quantity(after)} ({change:+d}%)" if change else quantity(after)


def changes(advice: Advice) -> str:
    """Every key that differs, the same field of several stages together: "hidden 480, 672 -> 384, 640"."""
    fields: dict[str, list[tuple[str, str]]] = {}
    for change in advice.changes:
        fields.setdefault(change.key.rpartition("].block.")[2], []).append((change.before, change.after))
    return "; ".join(
        f"{field} {_listed(b for b, _ in pairs)} -> {_listed(a for _, a in pairs)}" for field, pairs in fields.items()
    )


def _listed(values: Iterator[str]) -> str:
    """Values in order; one where all are equal, and no more than five."""
    found = list(values)
    if len(set(found)) == 1:
        return found[0]
    return ", ".join(found if len(found) <= 5 else [*found[:4], "..."])


def shifts(advice: Advice) -> str:
    """Where the saved time comes from: the two bounds that change most, before and after, for one batch each."""
    before, after = advice.before.bound_s, advice.after.bound_s
    names = {*before, *after}
    most = sorted(names, key=lambda name: -abs(after.get(name, 0.0) - before.get(name, 0.0)))[:2]
    moved = [
        name for name in most if abs(after.get(name, 0.0) - before.get(name, 0.0)) > 0.001 * advice.before.latency_s
    ]
    return ", ".join(
        f"{name} {quantity(before.get(name, 0.0), 's')} -> {quantity(after.get(name, 0.0), 's')}" for name in moved
    )


def explain_page(found: Explanation, platform: Platform, now: Estimate, *, made_by: str = "") -> str:
    """One HTML file that shows where the time of a network goes, and what would change that.

    Args:
        found: the explanation.
        platform: on which the network runs.
        now: the estimate that is explained.
        made_by: the program and the command line, for the foot of the page.
    """
    return page(
        f"Why {found.architecture} takes {quantity(found.now.latency_s, 's')} on {platform.title}",
        f"{headline(found)}. Estimates, not measurements.",
        [_bottlenecks(found, platform), *_advice(found), *_settings(found)],
        provenance([platform], [now]),
        made_by=made_by,
    )


def _bottlenecks(found: Explanation, platform: Platform) -> str:
    drawn = found.bottlenecks[:DRAWN]
    series = [
        Series(
            name=words(bounds),
            colour=tint,
            values=tuple(b.saving_s if colour(b.bound, platform) == tint else None for b in drawn),
            cards=tuple(_card(b, found) for b in drawn),
        )
        for tint, bounds in met(({b.bound: b.saving_s}, platform) for b in drawn).items()
    ]
    rest = tuple(b.spent_s - b.saving_s for b in drawn)
    series.append(Series("would go to the next resource", "var(--line)", rest, tuple(_card(b, found) for b in drawn)))
    option = rows([where(b) for b in drawn], series, Axis("time of a batch", SECONDS), stacked=True)
    data = bottleneck_rows(found)
    headings = (*data.headings, "why")
    reasons = tuple((*row, b.why) for row, b in zip(data.rows, found.bottlenecks, strict=True))
    chart = Chart(
        "What removing a bottleneck would save", option, Data(headings, reasons[:DRAWN]), rows_height(len(drawn), 30)
    )
    return section(
        "Where the time goes",
        grid([figure(chart)]),
        table(_reasons(drawn[:REASONS])),
        details(f"All {len(reasons)} bottlenecks", table(Data(headings, reasons))),
        intro="A kernel lasts as long as its busiest resource. Without it the next one decides: the coloured part of a "
        "bar would be saved, the grey part would not.",
    )


def _reasons(bottlenecks: Sequence[Bottleneck]) -> Data:
    """Why those that would save most hold the run up."""
    return Data(("where", "bound", "why"), tuple((where(b), b.bound, b.why) for b in bottlenecks))


def _card(bottleneck: Bottleneck, found: Explanation) -> Card:
    whole = found.now.latency_s
    return (
        where(bottleneck),
        ("bound by", words(bottleneck.bound)),
        (f"spends ({share(bottleneck.spent_s, whole)})", quantity(bottleneck.spent_s, "s")),
        (f"removing saves ({share(bottleneck.saving_s, whole)})", quantity(bottleneck.saving_s, "s")),
    )


def _advice(found: Explanation) -> Iterator[str]:
    advice = [a for a in found.advice if a.kind == "architecture"]
    if not advice:
        told = f"Of {found.tried} single changes that were tried, none saves time enough to be told."
        yield section("What would change that", paragraph(told if found.editable else NO_RECORD))
        return
    data = advice_rows(advice)
    full = Data(
        (*data.headings, "time under", "exactly"),
        tuple((*row, shifts(a), changes(a)) for row, a in zip(data.rows, advice, strict=True)),
    )
    intro = f"{found.tried} of {found.considered} single changes were built, traced and estimated. {ACCURACY}"
    yield section("What would change that", table(full), grid([figure(_gains(advice[:DRAWN]))]), intro=intro)


def _gains(advice: Sequence[Advice]) -> Chart:
    names = [title(a) for a in advice]
    cards = tuple((title(a), ("saves", saved(a)), ("latency", quantity(a.after.latency_s, "s"))) for a in advice)
    labels = tuple(saved(a) for a in advice)
    series = Series("time saved", "var(--accent)", tuple(a.gain for a in advice), cards, labels)
    option = rows(names, [series], Axis("share of the time saved", PERCENT), stacked=False)
    data = Data(("change", ">saves"), tuple((title(a), saved(a)) for a in advice))
    return Chart("Predicted gain", option, data, rows_height(len(advice), 28))


def _settings(found: Explanation) -> Iterator[str]:
    advice = [a for a in found.advice if a.kind == "setting"]
    if advice:
        intro = "The network stays as it is; what is saved is time a sample. " + NARROWER
        yield section("Running it otherwise", table(setting_rows(advice)), intro=intro)
