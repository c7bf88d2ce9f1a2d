"""One change to an architecture: what is done, where, and what comes out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from modelwright.networks.edits.relief import Relief
from modelwright.records.advice import Change
from modelwright.records.architecture import Architecture, Block, Stage

Stages = tuple[int, ...]


class Edit(msgspec.Struct, frozen=True):
    """One change, and the architecture that it leads to.

    Attributes:
        word: what is done, such as "fuse".
        place: where, in words.
        stages: whose blocks change; empty where it concerns the whole network.
        architecture: the outcome.
        changes: every key that differs.
        relief: what it could relieve.
        rivals: edits with the same rivals do the same to more or fewer of the same blocks.
    """

    word: str
    place: str
    stages: Stages
    architecture: Architecture
    changes: tuple[Change, ...]
    relief: Relief
    rivals: str


def edit(
    before: Architecture,
    word: str,
    stages: Stages,
    after: Mapping[int, Mapping[str, object]] | Architecture,
    relief: Relief,
    *,
    rivals: str = "",
    place: str = "",
) -> Edit:
    """An edit.

    Args:
        before: the architecture as it is.
        word: what is done.
        stages: where; empty for the whole network.
        after: the fields of blocks that change, by stage; or all that comes out.
        relief: what it could relieve.
        rivals: what it is an alternative to; its own word and place if empty.
        place: the place in words, if the stages do not say it.
    """
    place = place or placed(stages)
    outcome = after if isinstance(after, Architecture) else with_blocks(before, after)
    source = "; ".join(filter(None, (before.source, f"changed: {word}, {place}")))
    outcome = msgspec.structs.replace(outcome, name=_name(before.name, word, place), source=source)
    return Edit(word, place, stages, outcome, differences(before, outcome), relief, rivals or f"{word} {place}")


def _name(name: str, word: str, place: str) -> str:
    """What an edited architecture is called: "efficientnet-b0-fuse-1-2"."""
    where = re.sub(r"^((every|any) stage|stages? )", "", place)
    return f"{name}-{re.sub(r'[^a-z0-9]+', '-', f'{word} {where}').strip('-')}"


def with_blocks(before: Architecture, fields: Mapping[int, Mapping[str, object]]) -> Architecture:
    """The architecture with some fields of the blocks of some stages replaced."""
    stages = tuple(
        Stage(msgspec.structs.replace(stage.block, **fields.get(number, {})), stage.repeats)
        for number, stage in enumerate(before.stages)
    )
    return msgspec.structs.replace(before, stages=stages)


def placed(stages: Stages) -> str:
    """Stages in words."""
    if not stages:
        return "every stage"
    return f"stage {stages[0]}" if len(stages) == 1 else f"stages {stages[0]}-{stages[-1]}"


def sections(architecture: Architecture, kind: type[Block]) -> list[Stages]:
    """Stages of one kind of block that papers count as one: a first block, and the equal ones that keep its shape."""
    found: list[list[int]] = []
    for number, stage in enumerate(architecture.stages):
        if not isinstance(stage.block, kind):
            continue
        before = architecture.stages[number - 1].block if number else None
        if found and found[-1][-1] == number - 1 and before is not None and _follows(before, stage.block):
            found[-1].append(number)
        else:
            found.append([number])
    return [tuple(section) for section in found]


_KEPT = ("kernel", "fused", "activation", "norm", "heads")


def _follows(before: Block, block: Block) -> bool:
    """Whether a block continues the stage that the one before began."""
    keeps = getattr(block, "stride", 1) == 1 and block.in_channels == block.out_channels == before.out_channels
    alike = all(getattr(block, name, None) == getattr(before, name, None) for name in _KEPT)
    return keeps and alike and getattr(block, "reshape", "none") == "none"


def differences(before: Architecture, after: Architecture) -> tuple[Change, ...]:
    """Every key in which two architectures differ, but for name and source."""
    one, other = (msgspec.to_builtins(record) for record in (before, after))
    keys = [key for key in one if key not in ("name", "source")]
    return tuple(change for key in keys for change in _differing(key, one[key], other[key]))


def _differing(key: str, one: Any, other: Any) -> Iterator[Change]:
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from _differing(f"{key}.{name}", one[name], other[name])
    elif _listed(one) and _listed(other) and len(one) == len(other) and any(isinstance(part, dict) for part in one):
        for number, (part, counterpart) in enumerate(zip(one, other, strict=True)):
            yield from _differing(f"{key}[{number}]", part, counterpart)
    else:
        yield Change(key, _written(one), _written(other))


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _written(value: Any) -> str:
    return msgspec.json.encode(value).decode().strip('"')
