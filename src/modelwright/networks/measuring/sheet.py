"""Measurements on a sheet: one row of a CSV file each, with the device in the row, so that a run can be resumed."""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.networks.measuring.subject import Subject
from modelwright.records import Device, Measurement, from_json, to_json, write_whole

KEY = (
    *("architecture", "input", "batch", "precision", "execution", "channels_last"),
    *("device_kind", "device", "threads"),
)
"""Columns that say what was measured where: two rows never agree on all of them."""

COLUMNS = (
    *KEY,
    *("median_s", "spread", "throughput_per_s", "repetitions", "warmup", "inner", "peak_memory_bytes"),
    *("taken_at", "commit", "versions", "seconds"),
)

Key = tuple[str, ...]
Row = dict[str, str]
Sheet = dict[Key, Row]


def key(subject: Subject, device: Device) -> Key:
    """What a subject's row on a device goes by."""
    setting = subject.setting
    values = (subject.name, subject.input, setting.batch, setting.precision, setting.execution, setting.channels_last)
    return tuple(map(str, (*values, device.kind, device.name, device.threads)))


def row(subject: Subject, taken: Measurement) -> Row:
    """A measurement as a row; seconds with six digits."""
    found: dict[str, object] = dict(zip(KEY, key(subject, taken.device), strict=True))
    found |= {
        "median_s": f"{taken.median_s:.6g}",
        "spread": f"{taken.spread:.4g}",
        "throughput_per_s": f"{taken.throughput_per_s:.6g}",
        "repetitions": len(taken.seconds),
        "warmup": taken.warmup,
        "inner": taken.inner,
        "peak_memory_bytes": "" if taken.peak_memory_bytes is None else taken.peak_memory_bytes,
        "taken_at": taken.taken_at,
        "commit": taken.device.commit,
        "versions": to_json(taken.device.versions).decode(),
        "seconds": " ".join(f"{second:.6g}" for second in taken.seconds),
    }
    return {column: str(found[column]) for column in COLUMNS}


def measurement(found: Mapping[str, str]) -> Measurement:
    """The measurement in a row.

    Raises:
        RecordError: a number or the versions cannot be read.
    """
    try:
        seconds = tuple(map(float, found["seconds"].split()))
        return Measurement(
            architecture=found["architecture"],
            batch=int(found["batch"]),
            precision=found["precision"],
            execution=found["execution"],
            channels_last=found["channels_last"] == "True",
            seconds=seconds,
            median_s=statistics.median(seconds),
            spread=float(found["spread"]),
            warmup=int(found["warmup"]),
            inner=int(found["inner"]),
            taken_at=found["taken_at"],
            device=Device(
                kind=found["device_kind"],
                name=found["device"],
                threads=int(found["threads"]),
                versions=from_json(found["versions"], dict[str, str]),
                commit=found["commit"],
            ),
            peak_memory_bytes=int(found["peak_memory_bytes"]) if found["peak_memory_bytes"] else None,
        )
    except ValueError as failure:
        where = f"row {', '.join(found[column] for column in KEY)}"
        raise RecordError(f"each row must hold a measurement ({failure})", where=where) from failure


def read_sheet(path: Path) -> Sheet:
    """The rows of a file by their key; none if it does not exist.

    Raises:
        RecordError: the file is not a sheet of measurements.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows, columns = list(reader), tuple(reader.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as failure:
        raise RecordError(f"the file must be CSV in UTF-8 ({failure})", where=str(path)) from failure
    if columns != COLUMNS or any(None in found or None in found.values() for found in rows):
        rule = f"a sheet of measurements has the columns {', '.join(COLUMNS)}"
        way_out = "Name another file; this one is left as it is."
        raise RecordError(rule, where=str(path), value=", ".join(columns), way_out=way_out)
    return {tuple(found[column] for column in KEY): found for found in rows}


def write_sheet(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write all rows, so that the file appears whole or not at all.

    Raises:
        OSError: the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())
