"""All that is known of a study, as a fold of its journal: pure, frozen, the same for everyone who reads the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

import msgspec

from modelwright.records import Plan, Trial, convert
from modelwright.search.study.entries import Beat, Ended, Noted, Planned, Requeued, Run, Started, Written, written
from modelwright.store import Entry

R = TypeVar("R")


@final
@dataclass(frozen=True)
class State:
    """A study up to one entry of its journal.

    Attributes:
        last: number of that entry.
        plan: what is asked for.
        ended: (trial's number, rung) -> the trial as that run left it, in the order in which they ended.
        running: number -> the run that a worker is at.
        queued: number -> the run that waits for a worker, after another had it.
        notes: key -> what was noted last, as plain JSON values.
        beats: worker -> when it last gave a sign of life, ISO 8601 in UTC.
        next_number: the number of the next new trial.
    """

    last: int = 0
    plan: Plan | None = None
    ended: Mapping[tuple[int, int], Trial] = field(default_factory=dict)
    running: Mapping[int, Run] = field(default_factory=dict)
    queued: Mapping[int, Run] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    beats: Mapping[str, str] = field(default_factory=dict)
    next_number: int = 0

    @property
    def trials(self) -> dict[int, Trial]:
        """Number -> the trial as it stands: on its way (or waiting), or as its last run left it; in order."""
        latest = {number: trial for (number, _), trial in sorted(self.ended.items(), key=lambda item: item[0])}
        latest |= {number: run.trial for runs in (self.queued, self.running) for number, run in runs.items()}
        return dict(sorted(latest.items()))

    def rung(self, number: int) -> int:
        """How many runs of that trial have ended."""
        return sum(number == other for other, _ in self.ended)

    def note(self, key: str, kind: type[R]) -> R | None:
        """What was noted under that key, None if nothing.

        Raises:
            RecordError: it is another kind of record.
        """
        return convert(self.notes[key], kind, where=f"note {key!r}") if key in self.notes else None

    def and_then(self, entries: Iterable[Entry], where: str = "the journal") -> "State":
        """The state after further entries.

        Raises:
            RecordError: an entry is none of a study.
        """
        draft = _Draft(self)
        for entry in entries:
            draft.take(written(entry, where), entry)
        return draft.state()


def fold(entries: Iterable[Entry], where: str = "the journal") -> State:
    """The state that a study's entries tell.

    Raises:
        RecordError: an entry is none of a study.
    """
    return State().and_then(entries, where)


class _Draft:
    """A state on its way from entry to entry."""

    def __init__(self, state: State) -> None:
        self.last, self.plan, self.next_number = state.last, state.plan, state.next_number
        self.ended, self.running, self.queued = dict(state.ended), dict(state.running), dict(state.queued)
        self.notes, self.beats = dict(state.notes), dict(state.beats)

    def state(self) -> State:
        return State(**vars(self))

    def take(self, record: Written, entry: Entry) -> None:
        self.last = entry.number
        match record:
            case Planned(plan=plan):
                self.plan = self.plan or plan
            case Started(runs=runs):
                for run in runs:
                    self.start(run, entry.at)
            case Ended():
                self.end(record, entry.at)
            case Requeued():
                self.requeue(record)
            case Noted(key=key, record=noted):
                self.notes[key] = noted
            case Beat(worker=worker):
                self.beats[worker] = entry.at

    def start(self, run: Run, at: str) -> None:
        self.queued.pop(run.number, None)
        self.running[run.number] = run
        self.beats[run.worker] = at
        self.next_number = max(self.next_number, run.number + 1)

    def end(self, record: Ended, at: str) -> None:
        """The first result of a run stays, whoever brings it; a failure counts only where nobody else has the run."""
        trial, number = record.trial, record.trial.number
        self.beats[trial.worker] = at
        self.next_number = max(self.next_number, number + 1)
        holder = self.running.get(number)
        others = number in self.queued or (holder is not None and holder.worker != trial.worker)
        if trial.state == "failed" and others:
            return
        before = self.ended.get((number, record.rung))
        if before is None or before.state == "failed":
            self.ended[number, record.rung] = trial
        for runs in (self.running, self.queued):
            if number in runs and runs[number].rung == record.rung:
                del runs[number]

    def requeue(self, record: Requeued) -> None:
        run = self.running.get(record.number)
        if run and (run.rung, run.worker) == (record.rung, record.worker):
            del self.running[record.number]
            self.queued[record.number] = msgspec.structs.replace(run, losses=run.losses + record.lost)
