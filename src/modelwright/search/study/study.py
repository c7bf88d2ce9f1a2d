"""A study's driver: it reads what is new, lets pure functions decide, and appends what was decided."""

import math
from pathlib import Path
from typing import final

import msgspec

from modelwright.clock import Clock
from modelwright.errors import ConflictError, RecordError, SettingError
from modelwright.records import Plan, Trial, from_json, to_json
from modelwright.search.study.decisions import Alive, Decide, after_a_loss, difference, keepable, lost, next_runs
from modelwright.search.study.entries import Beat, Ended, Noted, Planned, Requeued, Run, Started, Written, kept
from modelwright.search.study.state import State
from modelwright.search.study.worker import alive as process_lives
from modelwright.search.study.worker import this_worker
from modelwright.store import Journal


@final
class Study:
    """A search that many processes work on and that outlives them all: each of them holds one of these.

    A trial that has finished is never lost. One whose worker died is run again, under its number and with its point. No
    trial is run by two workers that live, as far as that can be told: a worker on another machine that kept silent for
    too long may live on; then the first result stays.

    Args:
        journal: where all is kept.
        worker: who this is; this process by default.
        alive: tells whether a worker's process lives.
        silence_s: after so many seconds without a sign of life, a worker that cannot be looked up counts as dead.
    """

    def __init__(
        self, journal: Journal, worker: str = "", alive: Alive = process_lives, silence_s: float = 600.0
    ) -> None:
        self.worker = worker or this_worker()
        self._journal = journal
        self._alive = alive
        self._silence_s = silence_s
        self._state = State()
        self._mine: dict[int, Run] = {}
        self._beat_at = -math.inf

    @classmethod
    def create(cls, path: Path, plan: Plan, clock: Clock | None = None) -> "Study":
        """A new study in a new file.

        Raises:
            StoreError: something is there already, or nothing can be written there.
        """
        Journal.create(path, clock)
        return cls.open(path, clock, plan=plan)

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None, *, plan: Plan | None = None) -> "Study":
        """The study in a file, to look at or to go on with.

        Args:
            path: the file.
            clock: the machine's own if None.
            plan: what the caller means to go on with; None for whatever the study was begun with.

        Raises:
            StoreError: there is no file, it is no journal, or it is damaged.
            RecordError: the journal is none of a study, or was cut off before there was a plan.
            SettingError: the study was begun with another plan; the error names the first key that differs.
        """
        study = cls(Journal.open(path, clock))
        study.check(plan)
        return study

    def check(self, plan: Plan | None) -> None:
        """Hold a plan against the one that the study was begun with; where it was cut off before that, begin it now.

        Raises:
            RecordError: there is no plan, neither in the journal nor here.
            SettingError: the two differ; the error names the first key that does.
        """
        while plan and self.state().plan is None:
            self._append(Planned(plan), after=self._state.last)
        if plan and (found := difference(self.plan, plan)):
            key, begun, given = found
            rule = f"a study goes on with the plan that it was begun with, where this is {begun!r}"
            way_out = "Go on without naming it, or begin another study in another file."
            raise SettingError(rule, where=f"{self._journal.path}, key {key!r}", value=given, way_out=way_out)

    @property
    def plan(self) -> Plan:
        """What the study was begun with.

        Raises:
            RecordError: it was cut off before that.
        """
        plan = self.state().plan
        if plan is None:
            way_out = "Open it with the plan that it was meant to have."
            raise RecordError("a study's journal must hold a plan", where=str(self._journal.path), way_out=way_out)
        return plan

    def state(self) -> State:
        """All that is known by now; only what is new is read.

        Raises:
            StoreError: the file is damaged or cannot be read.
        """
        where = str(self._journal.path)
        self._state = self._state.and_then(self._journal.read(after=self._state.last), where)
        return self._state

    def claim(self, decide: Decide) -> list[Trial]:
        """Take on what is to be run next: a trial that a dead worker left, or else what the algorithm wants.

        Args:
            decide: asked with the state as it really is at the moment of writing; asked again when others were faster.

        Returns:
            The trials, now running, for this process to `finish`, `fail` or `release`; none if there is nothing to do.

        Raises:
            StoreError: the claim could not be written; nothing was claimed.
            SettingError: the algorithm goes on with a trial that has not ended, or changes its point.
        """
        while True:
            self.requeue_lost()
            state = self._state
            runs = next_runs(state, decide, self.worker)
            if not runs or self._append(Started(runs), after=state.last):
                self._mine |= {run.number: run for run in runs}
                return [run.trial for run in runs]

    def finish(self, trial: Trial) -> Trial:
        """Write down what became of a trial, and return it as it stands in the journal.

        A trial that comes as "running" has finished. One with numbers that are not finite has failed, with that reason.
        Where another worker had taken this one for dead and has finished the trial before, its result stays.

        Raises:
            SettingError: this process has not claimed the trial, or not with this point.
            StoreError: it could not be written. It is still claimed: make room and finish it again.
        """
        run = self._claimed(trial.number)
        if trial.point != run.point:
            rule = f"a trial is finished with the point that was claimed, {run.point}"
            raise SettingError(rule, where=f"trial {trial.number}", value=trial.point)
        state = "finished" if trial.state == "running" else trial.state
        whose = {"worker": self.worker, "suggested_by": run.suggested_by}
        record = Ended(msgspec.structs.replace(trial, state=state, **whose), run.rung)
        if not kept(record):
            record = keepable(record.trial, run.rung, "its numbers must be finite")
        self._append(record)
        del self._mine[run.number]
        return self.state().ended.get((run.number, run.rung), record.trial)

    def fail(self, trial: Trial, reason: str) -> Trial:
        """Write down that a trial has failed, and why; the search goes on without it.

        Raises:
            SettingError, StoreError: as for `finish`.
        """
        return self.finish(msgspec.structs.replace(trial, state="failed", reason=reason))

    def release(self, number: int) -> None:
        """Give a claimed trial back to whoever claims next, as after an interrupt; it does not count as a loss.

        Raises:
            SettingError: this process has not claimed it.
            StoreError: it could not be written.
        """
        run = self._claimed(number)
        self._append(Requeued(number, run.rung, self.worker, lost=False))
        del self._mine[number]

    def release_left(self) -> None:
        """Give back what this process claimed by an earlier `Study` and left, as for want of room to give it back.

        Raises:
            StoreError: it could not be written.
        """
        for run in self.state().running.values():
            if run.worker == self.worker and run.number not in self._mine:
                self._append(Requeued(run.number, run.rung, self.worker, lost=False))

    def note(self, key: str, record: msgspec.Struct) -> None:
        """Write down what a later stage, or a resumed one, must not do again; `state().note(key, kind)` returns it.

        Raises:
            RecordError: the record does not come back from JSON as it is, as with a number that is not finite.
            StoreError: it could not be written.
        """
        text = to_json(record)
        if from_json(text, type(record), where=f"note {key!r}") != record:
            raise RecordError("a note must come back from JSON as it is", where=f"note {key!r}", value=record)
        self._append(Noted(key, msgspec.json.decode(text)))

    def beat(self) -> None:
        """Give a sign of life, for those who cannot look this process up; written ten times per `silence_s` at most.

        Raises:
            StoreError: it could not be written.
        """
        seconds = self._journal.clock.seconds()
        if seconds - self._beat_at >= self._silence_s / 10:
            self._append(Beat(self.worker))
            self._beat_at = seconds

    def requeue_lost(self) -> tuple[int, ...]:
        """Make the trials of dead workers wait for another; one that has killed enough workers has failed.

        Returns:
            Their numbers.

        Raises:
            StoreError: it could not be written.
        """
        found: list[int] = []
        while True:
            state = self.state()
            now = self._journal.clock.now()
            numbers = [number for number in lost(state, now, self._alive, self._silence_s) if number not in self._mine]
            if not numbers:
                return tuple(found)
            if self._append(after_a_loss(state.running[numbers[0]]), after=state.last):
                found.append(numbers[0])

    def _claimed(self, number: int) -> Run:
        if number not in self._mine:
            way_out = f"Those claimed are {sorted(self._mine)}." if self._mine else "None is claimed."
            raise SettingError("only who has claimed a trial can end it", where=f"trial {number}", way_out=way_out)
        return self._mine[number]

    def _append(self, record: Written, *, after: int | None = None) -> bool:
        """Append a record; False where another process was faster."""
        if not kept(record):
            raise RecordError("a record must come back from JSON as it is", where=str(self._journal.path), value=record)
        try:
            self._journal.append(str(record.__struct_config__.tag), record, after=after)
        except ConflictError:
            return False
        return True
