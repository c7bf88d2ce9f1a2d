"""The price of every distinct part: those of one structure are drafted together, planned once, priced in columns."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.draft import TRACED, Draft, Step
from modelwright.hardware.lowering.kinds import BLOCK, HEAD, STEM, Kinds
from modelwright.hardware.lowering.lineup import Places
from modelwright.hardware.lowering.prices import Prices, joined, price
from modelwright.hardware.lowering.structure import Setting, survey
from modelwright.hardware.processor import FIRST, LARGE
from modelwright.hardware.table import Index

TOGETHER = 512
"""Parts evaluated in one go: their columns fit a second-level cache."""

Columns = dict[str, Index]


def price_all(kinds: Kinds, places: Places, setting: Setting) -> tuple[Prices, Index]:
    """Prices of all places, and where in them each place stands."""
    found: list[Prices] = []
    order: list[Index] = []
    for kind, columns, chosen in _alike(kinds, places, setting):
        structure = None
        for begin in range(0, len(chosen), TOGETHER):
            some = slice(begin, begin + TOGETHER)
            draft = _draft(kind, {name: column[some] for name, column in columns.items()})
            structure = structure or survey(draft, setting)
            found.append(price(draft, structure, len(chosen[some]), setting))
        order.append(chosen)
    where = np.empty(len(places.row), dtype=np.int64)
    where[np.concatenate(order)] = np.arange(len(where))
    return joined(found), where


def _alike(kinds: Kinds, places: Places, setting: Setting) -> Iterator[tuple[int, Columns, Index]]:
    """Places that run the same sequence of kernels: on a processor, a convolution's size may decide who runs it."""
    for kind, columns, chosen in _by_structure(kinds, places):
        if setting.platform.kind != "cpu":
            yield kind, columns, chosen
            continue
        draft = _draft(kind, columns)
        found = [_deciding(draft, step, setting) for step in draft.steps if step.kind == "convolution"]
        features = [np.broadcast_to(feature, chosen.shape) for feature in itertools.chain.from_iterable(found)]
        _, which = np.unique(np.stack(features), axis=1, return_inverse=True)
        for number in range(int(which.max()) + 1):
            some = np.flatnonzero(which == number)
            yield kind, {name: column[some] for name, column in columns.items()}, chosen[some]


def _deciding(draft: Draft, step: Step, setting: Setting) -> Iterator[npt.NDArray[np.bool_]]:
    """What of a convolution's numbers decides how a processor runs it (see `hardware.processor`)."""
    taps, depth = np.square(step.kernel), np.asarray(step.product[3])
    yield draft.tensors[step.inputs[0]].size * setting.scale > LARGE
    yield np.asarray(step.kernel) > FIRST
    yield depth > taps
    yield depth > FIRST * taps


def _by_structure(kinds: Kinds, places: Places) -> Iterator[tuple[int, Columns, Index]]:
    """Places that have the same sequence of operators: their kind, their fields, and which ones they are."""
    kind = kinds.kind[places.row]
    for part, table in ((STEM, kinds.stems), (BLOCK, kinds.blocks), (HEAD, kinds.heads)):
        chosen = np.flatnonzero(kind == part)
        rows = places.row[chosen] - int(np.argmax(kinds.kind == part))
        columns = {name: column[rows] for name, column in table.items()}
        for name in ("height", "width", "entry", "beginning", "pad_height", "pad_width", "adds"):
            columns[name] = getattr(places, name)[chosen]
        for name in ("height", "width"):
            columns[f"odd_{name}"] = columns[name] % 2
        structure = _packed({STEM: _of_stems, BLOCK: _of_blocks, HEAD: _of_heads}[part](columns))
        order = np.argsort(structure, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(structure[order])) + 1):
            yield part, {name: column[group] for name, column in columns.items()}, chosen[group]


def _packed(features: list[Index]) -> Index:
    """Several small numbers as one."""
    key = np.zeros_like(features[0])
    for feature in features:
        key = key * (int(feature.max()) + 1) + feature
    return key


def _of_stems(c: Columns) -> list[Index]:
    """What decides the operators of a stem and how they fuse."""
    single = [c[name] == 1 for name in c if name.startswith("channels")]
    return [c["convolutions"], c["pool"], c["kernel"] == 1, *single, c["beginning"], c["adds"]]


def _of_blocks(c: Columns) -> list[Index]:
    """What decides the operators of a block and how they fuse; images split into phases keep their size."""
    split = c["reshape"] == parts.SPLIT
    halves = np.where(c["reshape"] == parts.NONE, 1, 2)
    leaving = [-(-c[side] // (halves * c["stride"])) for side in ("height", "width")]
    return [
        *(c[name] for name in ("fused", "expands", "residual", "reshape", "entry", "beginning", "adds")),
        c["squeeze"] > 0,
        c["hidden"] > 0,
        np.minimum(c["kernel"], 2 + c["kernel"] % 2),  # one, even, or odd
        c["inner"] == 1,
        c["out_channels"] == 1,
        (c["reshape"] == parts.MERGE) & ((c["odd_height"] | c["odd_width"]) > 0),
        (leaving[0] == 1) & (leaving[1] == 1),
        np.where(split, c["height"], 0),
        np.where(split, c["width"], 0),
    ]


def _of_heads(c: Columns) -> list[Index]:
    """What decides the operators of a head and how they fuse."""
    single = (c["height"] == 1) & (c["width"] == 1)
    return [c["channels"] > 0, c["channels"] == 1, c["hidden"] > 0, single, c["entry"]]


def _draft(kind: int, c: Columns) -> Draft:
    """A part between stand-ins for its neighbours."""
    draft = Draft()
    shape = (TRACED, c["in_channels"], c["height"], c["width"])
    if kind == STEM:
        out = parts.stem(draft, draft.tensor(shape, "input"), c)
    else:
        draft.part = "before"
        x = parts.before(draft, shape, max(0, int(c["entry"][0]) - 1))
        draft.part = "own"
        out = parts.block(draft, x, c) if kind == BLOCK else parts.head(draft, x, c)
    if kind != HEAD:
        draft.part = "after"
        parts.after(draft, out, int(c["beginning"][0]), (c["pad_height"], c["pad_width"]), bool(c["adds"][0]))
    return draft
