"""Measure what a sheet does not hold yet, group by group, and write the sheet after each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.machine import describe
from modelwright.networks.measuring.setting import check
from modelwright.networks.measuring.sheet import Key, key, measurement, read_sheet, row, write_sheet
from modelwright.networks.measuring.subject import Subject
from modelwright.records import Measurement

Measure = Callable[[Sequence[Subject]], Sequence[Measurement]]


def resume(
    groups: Sequence[Sequence[Subject]], take: Measure, path: Path | None, *, again: bool = False
) -> tuple[tuple[Measurement, ...], int]:
    """The measurements of all subjects, in their order, and how many of them the sheet held already.

    Each group is measured together, and its rows are on the sheet before the next group begins: what interrupts a run
    loses one group.

    Args:
        groups: subjects that take turns with one another.
        take: measures one group.
        path: the sheet; None for none.
        again: measure what the sheet holds as well, and replace those rows.

    Raises:
        SettingError: a setting that means nothing, or a device that torch cannot reach.
        RecordError: the file is not a sheet.
    """
    sheet = read_sheet(path) if path else {}
    done: dict[Key, Measurement] = {}
    held = 0
    for group in groups:
        keys = [_key(subject) for subject in group]
        if not again:
            kept = {name: measurement(sheet[name]) for name in keys if name in sheet}
            done |= kept
            held += len(kept)
        missing = {name: subject for name, subject in zip(keys, group, strict=True) if name not in done}
        if not missing:
            continue
        for (name, subject), taken in zip(missing.items(), take(list(missing.values())), strict=True):
            done[name] = taken
            sheet[key(subject, taken.device)] = row(subject, taken)
        if path:
            write_sheet(path, sheet.values())
    return tuple(done[_key(subject)] for group in groups for subject in group), held


def _key(subject: Subject) -> Key:
    """The key that the subject's row will have, known before it is measured."""
    check(subject.setting)
    return key(subject, describe(device_of(subject.setting), subject.setting.threads or torch.get_num_threads()))
