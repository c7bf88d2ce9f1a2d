"""A network's card: what it is, how good and how fast, how that was got, how to run it, and what nobody has tested.

The headings follow model cards (Mitchell et al., 2018, arXiv 1810.03993) as far as a search can answer them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import msgspec

from modelwright.records import ConvStem, DataCard, Measurement, Member, TokenStem
from modelwright.records.measurement import Device
from modelwright.search.handover import formats
from modelwright.search.handover.check import TOLERANCE
from modelwright.search.handover.context import Context
from modelwright.search.handover.manifest import FILES, RECIPE
from modelwright.search.handover.usage import snippets
from modelwright.search.handover.wilson import wilson

_NAMED = 20
"""Classes that are listed by name; the manifest holds them all."""


@final
@dataclass(frozen=True)
class Facts:
    """All that a card tells.

    Attributes:
        member: the network's record.
        context: where it comes from.
        parameters: how many it has.
        macs: multiply-accumulates of one sample, without preprocessing.
        made_at: when, ISO 8601.
        versions: package -> version that its files were written with.
        differences: role -> largest difference of that format's outputs, over the network's largest.
    """

    member: Member
    context: Context
    parameters: int
    macs: int
    made_at: str
    versions: Mapping[str, str]
    differences: Mapping[str, float]


def card(facts: Facts) -> str:
    """The card as Markdown."""
    parts = {
        "": _summary(facts),
        "Data and preprocessing": _data(facts),
        "Accuracy": _accuracy(facts),
        "Latency": _latency(facts),
        "Training": _training(facts.member),
        "How to run it": _usage(facts.member, facts.context.data),
        "How the files were checked": _checks(facts),
        "Limits": _limits(facts),
        "Where it comes from": _origin(facts),
    }
    blocks = ("\n".join([*([f"## {title}", ""] if title else []), *lines]) for title, lines in parts.items())
    return f"# {plain(facts.member.name)}\n\n" + "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """A text that Markdown shows as it is, in one line."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", " ".join(text.split()))


def _summary(facts: Facts) -> Iterator[str]:
    found, data = facts.member.architecture, facts.context.data
    kind = "a classifier of tokens" if isinstance(found.stem, TokenStem) else "a classifier of images"
    family = "convolutional network" if isinstance(found.stem, ConvStem) else "transformer"
    came = "trained beside a search, to hold its networks against" if facts.member.trial is None else (
        f"found by a search for networks that fit their machine (trial {facts.member.trial})"
    )  # fmt: skip
    yield f"This is {kind} for {plain(data.name)}, with {found.classes} classes: a {family} of {found.depth} blocks,"
    yield f"{came}."
    yield ""
    yield "| | |"
    yield "| --- | --- |"
    yield f"| architecture | {plain(found.name)} (`{FILES['architecture']}` holds every number) |"
    if facts.member.precision:
        yield f"| computes in | {facts.member.precision}, as the search chose |"
    if found.source:
        yield f"| published in | {plain(found.source)} |"
    yield f"| parameters | {facts.parameters:,} |"
    yield f"| multiply-accumulates a sample | {facts.macs:,} |"


def _data(facts: Facts) -> Iterator[str]:
    data, found = facts.context.data, facts.member.architecture
    named = ", ".join(plain(name) for name in data.classes[:_NAMED])
    more = f" and {len(data.classes) - _NAMED} more, in `{FILES['manifest']}`" if len(data.classes) > _NAMED else ""
    yield f"- Data: {plain(data.name)}."
    if data.images:
        yield f"- Samples: {', '.join(f'{count:,} {split}' for split, count in data.images.items())}."
    if named:
        yield f"- Classes, from label 0 on: {named}{more}."
    if len(data.shape) != 3:
        yield f"- Input: int64 token numbers of shape (N, {data.shape[0]}); every file takes any batch N."
        return
    channels, height, width = data.shape
    yield f"- Input: uint8 images of shape (N, {channels}, {height}, {width}); every file takes any batch N."
    yield "- Preprocessing is part of every file, as it was in training. **Do not resize or normalise before:**"
    if found.input[1:] == data.shape[1:]:
        yield "    1. Images keep their size."
    else:
        filtered = ", antialiased" if found.input[1] < height or found.input[2] < width else ""
        yield f"    1. Resized to {found.input[1]}x{found.input[2]}, bilinear{filtered}."
    yield "    2. Scaled to 0..1, that is, divided by 255."
    yield f"    3. Of each channel the mean is taken off, {_numbers(data.mean)}; then it is divided by the deviation,"
    yield f"       {_numbers(data.std)}."


def _accuracy(facts: Facts) -> Iterator[str]:
    member, images = facts.member, facts.context.data.images
    yield "| split | accuracy | right | 95 % interval |"
    yield "| --- | --- | --- | --- |"
    for split, accuracy in (("validation", member.accuracy), ("test", member.test_accuracy)):
        if accuracy is None:
            yield f"| {split} | not asked for | | |"
        elif total := images.get(split):
            low, high = wilson(round(accuracy * total), total)
            count = f"{round(accuracy * total)} of {total}"
            yield f"| {split} | {100 * accuracy:.2f} % | {count} | {100 * low:.2f} to {100 * high:.2f} % |"
        else:
            yield f"| {split} | {100 * accuracy:.2f} % | | |"
    yield ""
    yield "The interval is Wilson's. It tells how far the split's size lets the accuracy be off, for samples of the"
    yield "same kind; not how far another seed would move it. A search chooses by the validation split, so the accuracy"
    yield "there flatters."
    if member.accuracies:
        trained = f"{100 * member.learning.accuracy:.2f} % of the validation split"
        yield f"It is that in {member.precision}; in the numbers that it was trained in, it is right on {trained}."


def _latency(facts: Facts) -> Iterator[str]:
    member, context = facts.member, facts.context
    if member.measurement:
        yield from _measured(member.measurement)
    else:
        yield "- Measured: not at all."
    setting = f" ({plain(context.predicted_for)})" if context.predicted_for else ""
    told = {"by the performance model": member.estimates, "as the search counted it": member.counted}
    for how, values in told.items():
        if "latency_s" in values:
            yield f"- Predicted {how}{setting}: {_milliseconds(values['latency_s'])} a batch."


def _measured(found: Measurement) -> Iterator[str]:
    order = "channels last" if found.channels_last else "channels first"
    yield (
        f"- Measured: median {_milliseconds(found.median_s)} a batch of {found.batch}, "
        f"{found.throughput_per_s:.4g} samples/s."
    )
    yield (
        f"- Spread: {100 * found.spread:.2f} % (interquartile range over median) of {len(found.seconds)} repetitions "
        f"of {found.inner} calls, after {found.warmup} of warm-up."
    )
    yield f"- Setting: precision {found.precision}, {found.execution}, {order}."
    yield f"- On {_device(found.device)}, {found.taken_at}."


def _training(member: Member) -> Iterator[str]:
    learning = member.learning
    ended = "" if learning.complete else ", **not to the recipe's end**"
    yield f"{len(learning.epochs)} epochs{ended}, seed {learning.recipe.seed}, on {_device(learning.device)}."
    yield ""
    yield "| setting | value |"
    yield "| --- | --- |"
    yield from (f"| {key} | {value} |" for key, value in msgspec.structs.asdict(learning.recipe).items())


def _usage(member: Member, data: DataCard) -> Iterator[str]:
    yield "Each runs as it stands, in this folder."
    if member.recipe is not None:
        yield f"All of them are in fp32. `modelwright quantize` on this folder begins from `{RECIPE[1]}`, and writes"
        yield f"the network that computes in {member.precision}."
    for title, code in snippets(data).items():
        yield from ("", f"{title}:", "", "```python", *code.splitlines(), "```")


def _checks(facts: Facts) -> Iterator[str]:
    batches = " and ".join(map(str, formats.BATCHES))
    yield f"Each format was run from its file, in fp32 on a CPU, on noise in batches of {batches}, and held against the"
    yield f"network in memory. Differences are over the largest output; above {TOLERANCE:g} nothing is handed over."
    yield ""
    yield "| file | largest difference |"
    yield "| --- | --- |"
    yield from (f"| `{FILES[role]}` | {worst:.2g} |" for role, worst in facts.differences.items())
    yield ""
    told = ", ".join(f"{package} {version}" for package, version in facts.versions.items())
    yield f"ONNX has opset {formats.OPSET} and passed ONNX's own checker. Written with {told}."
    yield f"`{FILES['manifest']}` holds every file's SHA-256; `verify` of `modelwright.search.handover` checks them."


def _limits(facts: Facts) -> Iterator[str]:
    what = "images" if len(facts.context.data.shape) == 3 else "texts"
    yield f"- Accuracy is that of one training, on {what} like those of {plain(facts.context.data.name)}. It was not"
    yield f"  tested on {what} from elsewhere, on damaged or hostile ones, nor for groups within the data."
    yield f"- It answers with one of its classes whatever it is shown; {what} of no class were not tested. Its softmax"
    yield "  was not tested as a probability."
    yield "- Latency is that of the network in torch, without preprocessing, in the setting above only. The program and"
    yield "  the ONNX file were checked for what they answer, not timed, and in fp32 only."
    yield "- It is no medical, legal or safety device, and was tested for no such use."


def _origin(facts: Facts) -> Iterator[str]:
    context = facts.context
    rows = {"made at": facts.made_at, "commit": context.commit, "study": context.study, "command": context.command}
    yield from (f"- {key}: {plain(value)}" for key, value in rows.items() if value)


def _device(found: Device) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in found.versions.items())
    threads = f"{found.threads} thread{'s' if found.threads != 1 else ''}"
    commit = f"; commit {found.commit}" if found.commit else ""
    return plain(f"{found.name} ({found.kind}, {threads}; {versions}{commit})")


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.4g} ms"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
