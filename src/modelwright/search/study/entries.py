"""What a study writes into its journal, one record a line; the record's tag is the entry's kind."""

from typing import Any

import msgspec

from modelwright.errors import RecordError
from modelwright.records import Plan, Point, Trial, from_json
from modelwright.store import Entry


class Start(msgspec.Struct, frozen=True):
    """What an algorithm wants to be tried next.

    Attributes:
        point: what is chosen.
        budget: epochs to train for; 0 for none.
        suggested_by: the algorithm.
        number: of the trial that ended and goes on with a larger budget, with the same point; None for a new trial.
    """

    point: Point
    budget: int = 0
    suggested_by: str = ""
    number: int | None = None


class Run(msgspec.Struct, frozen=True):
    """One run of a trial, on its way or waiting for a worker.

    Attributes:
        number: the trial's.
        rung: 0 for the trial's first run, one more each time that it goes on with a larger budget.
        point, budget, suggested_by: as in `Start`.
        worker: who runs it, or ran it last.
        losses: how many workers have died of it, or with it.
    """

    number: int
    rung: int
    point: Point
    budget: int
    suggested_by: str
    worker: str
    losses: int = 0

    @property
    def trial(self) -> Trial:
        """The run as a trial on its way."""
        return Trial(
            number=self.number,
            point=self.point,
            state="running",
            budget=self.budget,
            worker=self.worker,
            suggested_by=self.suggested_by,
        )


class Planned(msgspec.Struct, frozen=True, tag_field="kind", tag="plan"):
    """The plan was made."""

    plan: Plan


class Started(msgspec.Struct, frozen=True, tag_field="kind", tag="started"):
    """These runs were started together, by one worker."""

    runs: tuple[Run, ...]


class Ended(msgspec.Struct, frozen=True, tag_field="kind", tag="ended"):
    """A run of a trial has finished, failed or been stopped."""

    trial: Trial
    rung: int


class Requeued(msgspec.Struct, frozen=True, tag_field="kind", tag="requeued"):
    """A run waits for another worker: this one died (`lost`) or gave it back."""

    number: int
    rung: int
    worker: str
    lost: bool


class Noted(msgspec.Struct, frozen=True, tag_field="kind", tag="noted"):
    """Something that a later stage must not do again; the last note of a key counts."""

    key: str
    record: Any


class Beat(msgspec.Struct, frozen=True, tag_field="kind", tag="beat"):
    """A worker lives."""

    worker: str


Written = Planned | Started | Ended | Requeued | Noted | Beat

_DECODER: msgspec.json.Decoder[Written] = msgspec.json.Decoder(Written)


def written(entry: Entry, where: str) -> Written:
    """The record that an entry of a study's journal holds.

    Raises:
        RecordError: it is none, such as one of a newer program.
    """
    try:
        return _DECODER.decode(entry.body)
    except msgspec.DecodeError as failure:
        place = f"{where}, entry {entry.number}"
        from_json(entry.body, Written, where=place)  # type: ignore[arg-type]  # says the same, as a lesson
        raise RecordError(f"an entry of a study must be known ({failure})", where=place) from failure


def kept(record: Written) -> bool:
    """Whether a record comes back from JSON as it is; one with a number that is not finite does not."""
    try:
        return _DECODER.decode(msgspec.json.encode(record)) == record
    except msgspec.DecodeError:
        return False
