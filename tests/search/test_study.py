"""Studies: whatever happens to the workers, every finished trial stays, and none is run twice at the same time."""

import math
import resource
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modelwright.clock import ManualClock
from modelwright.errors import RecordError, SettingError, StoreError
from modelwright.records import Agreement, Choice, Device, Epoch, Learning, Objective, Plan, Recipe, Space, Trial
from modelwright.search.study import Run, Start, State, Study, fold
from modelwright.search.study.decisions import LOSSES, difference, lost
from modelwright.store import Journal, salvage

SPACE = Space("table", (Choice("row", tuple(range(1000))),))
PLAN = Plan(SPACE, (Objective("accuracy"), Objective("latency_s", limit=1.0)), "digits", "tpuv3", trials=10)


def next_row(state: State) -> list[Start]:
    """An algorithm that tries one row after the other."""
    return [Start({"row": state.next_number}, budget=3, suggested_by="rows")]


def nothing(state: State) -> list[Start]:
    return []


def finished(trial: Trial, accuracy: float = 0.5) -> Trial:
    return msgspec.structs.replace(trial, values={"accuracy": accuracy})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


class Bench:
    """Workers by name at one study; those in `living` are alive."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, ManualClock()
        self.living: set[str] = set()
        Study.create(path, PLAN, self.clock)

    def worker(self, name: str) -> Study:
        self.living.add(name)
        return Study(Journal.open(self.path, self.clock), name, lambda worker: worker in self.living)


@pytest.fixture
def bench(path: Path) -> Bench:
    return Bench(path)


class WorkersComeAndGo(RuleBasedStateMachine):
    """Workers join, claim, end trials, go on with larger budgets, die, and are followed by others."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name, "study.db"))
        self.workers: dict[str, Study] = {}
        self.held: dict[str, dict[int, Trial]] = {}
        self.results: list[Trial] = []
        self.points: dict[int, dict] = {}
        self.deaths: dict[int, int] = {}
        self.joined = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    def someone(self, data: st.DataObject, busy: bool = False) -> str | None:
        names = [name for name in self.workers if not busy or self.held[name]]
        return data.draw(st.sampled_from(names)) if names else None

    def something(self, data: st.DataObject) -> tuple[str, Trial] | None:
        name = self.someone(data, busy=True)
        return (name, data.draw(st.sampled_from(list(self.held[name].values())))) if name else None

    @rule()
    def join(self) -> None:
        name = f"worker-{self.joined}"
        self.joined += 1
        self.workers[name], self.held[name] = self.bench.worker(name), {}

    @rule(data=st.data(), new=st.integers(0, 2), promote=st.booleans())
    def claim(self, data: st.DataObject, new: int, promote: bool) -> None:
        def decide(state: State) -> list[Start]:
            best = [trial for trial in state.trials.values() if trial.state == "finished"]
            again = [Start(best[-1].point, best[-1].budget * 3, "again", best[-1].number)] if best and promote else []
            return again + [Start({"row": state.next_number + i}, 1, "rows") for i in range(new)]

        if name := self.someone(data):
            elsewhere = {number for held in self.held.values() for number in held}
            for trial in self.workers[name].claim(decide):
                assert trial.number not in elsewhere, "no trial is run by two workers that live"
                assert self.points.setdefault(trial.number, trial.point) == trial.point
                assert (trial.state, trial.worker) == ("running", name)
                self.held[name][trial.number] = trial

    @rule(data=st.data(), accuracy=st.floats(0, 1), state=st.sampled_from(["running", "finished", "stopped", "failed"]))
    def end(self, data: st.DataObject, accuracy: float, state: str) -> None:
        if found := self.something(data):
            name, trial = found
            ended = self.workers[name].finish(msgspec.structs.replace(finished(trial, accuracy), state=state))
            assert ended == msgspec.structs.replace(
                finished(trial, accuracy), state="finished" if state == "running" else state
            )
            self.results.append(ended)
            self.deaths[trial.number] = 0
            del self.held[name][trial.number]

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if found := self.something(data):
            name, trial = found
            self.workers[name].release(trial.number)
            del self.held[name][trial.number]

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if name := self.someone(data):
            self.bench.living.remove(name)
            del self.workers[name]
            for number in self.held.pop(name):
                self.deaths[number] = self.deaths.get(number, 0) + 1

    @rule(data=st.data(), seconds=st.floats(0, 1e4))
    def live_on(self, data: st.DataObject, seconds: float) -> None:
        self.bench.clock.advance(seconds)
        if name := self.someone(data):
            self.workers[name].beat()

    @invariant()
    def what_ended_stays_and_what_runs_is_held(self) -> None:
        whole = fold(Journal.open(self.bench.path).read())
        assert all(study.state() == whole for study in self.workers.values()), "read bit by bit, or at once"
        done = [trial for trial in whole.ended.values() if not trial.reason]
        assert sorted(done, key=repr) == sorted(self.results, key=repr)
        assert {number: trial.point for number, trial in whole.trials.items()} == self.points
        assert set(whole.trials) == set(range(whole.next_number))
        living = {number: run.worker for number, run in whole.running.items() if run.worker in self.workers}
        assert living == {number: name for name, held in self.held.items() for number in held}
        assert not whole.running.keys() & whole.queued.keys()
        for trial in whole.ended.values():
            if trial.reason:
                assert self.deaths[trial.number] >= LOSSES, "only a trial that has killed its workers is given up"
        assert all(run.losses < LOSSES for run in (*whole.running.values(), *whole.queued.values()))


WorkersComeAndGo.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestWorkersComeAndGo = WorkersComeAndGo.TestCase


# --- claims -----------------------------------------------------------------------------------------------------------


def test_who_is_too_late_decides_again_in_view_of_what_was_taken(bench: Bench) -> None:
    one, other = bench.worker("one"), bench.worker("other")
    seen: list[list[int]] = []

    def slow(state: State) -> list[Start]:
        seen.append(list(state.running))
        if len(seen) == 1:
            other.claim(next_row)
        return next_row(state)

    [trial] = one.claim(slow)
    assert seen == [[], [0]]
    assert (trial.number, trial.point) == (1, {"row": 1})
    assert {number: run.worker for number, run in one.state().running.items()} == {0: "other", 1: "one"}


def test_a_trial_goes_on_with_a_larger_budget_and_both_results_stay(bench: Bench) -> None:
    study = bench.worker("one")
    study.finish(finished(*study.claim(next_row), 0.5))
    [again] = study.claim(lambda _: [Start({"row": 0}, 9, "halving", 0)])
    assert (again.number, again.budget, again.state) == (0, 9, "running")
    assert study.state().trials[0].state == "running"
    study.finish(finished(again, 0.8))
    assert [(key, trial.budget, trial.values["accuracy"]) for key, trial in study.state().ended.items()] == [
        ((0, 0), 3, 0.5),
        ((0, 1), 9, 0.8),
    ]
    assert study.state().trials[0].values == {"accuracy": 0.8}


@pytest.mark.parametrize("start", [Start({"row": 0}, 9, "x", 0), Start({"row": 7}, 9, "x", 1), Start({}, 9, "x", 5)])
def test_only_what_has_ended_goes_on_and_with_its_own_point(bench: Bench, start: Start) -> None:
    study = bench.worker("one")
    study.claim(next_row)
    study.finish(finished(*study.claim(next_row)))
    with pytest.raises(SettingError, match="goes on"):
        study.claim(lambda _: [start])


def test_no_trial_goes_on_twice_in_one_claim(bench: Bench) -> None:
    study = bench.worker("one")
    study.finish(finished(*study.claim(next_row)))
    with pytest.raises(SettingError, match="only after it has ended"):
        study.claim(lambda _: [Start({"row": 0}, 9, "x", 0)] * 2)


def test_where_there_is_nothing_to_do_nothing_is_written(bench: Bench) -> None:
    study = bench.worker("one")
    before = study.state().last
    assert study.claim(nothing) == []
    assert study.state().last == before


# --- the dead ---------------------------------------------------------------------------------------------------------


def test_a_dead_workers_trial_is_run_again_before_anything_new(bench: Bench) -> None:
    [trial] = bench.worker("one").claim(next_row)
    bench.living.remove("one")
    [again] = bench.worker("two").claim(next_row)
    assert again == msgspec.structs.replace(trial, worker="two")


def test_what_was_given_back_counts_as_no_loss(bench: Bench) -> None:
    study = bench.worker("one")
    for _ in range(LOSSES + 1):
        [trial] = study.claim(next_row)
        study.release(trial.number)
    assert study.state().queued[0].losses == 0


def test_a_trial_that_kills_its_workers_is_given_up_and_the_search_goes_on(bench: Bench) -> None:
    for name in ("one", "two", "three"):
        [trial] = bench.worker(name).claim(next_row)
        assert trial.number == 0
        bench.living.remove(name)
    study = bench.worker("four")
    assert study.requeue_lost() == (0,)
    failed = study.state().trials[0]
    assert failed.state == "failed"
    assert failed.reason == "3 workers died while they ran it, the last one was three"
    assert [trial.number for trial in study.claim(next_row)] == [1]


def test_a_worker_elsewhere_is_dead_only_after_its_silence(bench: Bench) -> None:
    there = Study(Journal.open(bench.path, bench.clock), "there", lambda _: None, silence_s=600)
    here = Study(Journal.open(bench.path, bench.clock), "here", lambda _: None, silence_s=600)
    there.claim(next_row)
    for _ in range(5):
        bench.clock.advance(500)
        there.beat()
        assert here.requeue_lost() == ()
    bench.clock.advance(601)
    assert here.requeue_lost() == (0,)


def test_a_worker_that_can_be_looked_up_may_be_silent(bench: Bench) -> None:
    """As a laptop that wakes up: nobody gave a sign of life, and all live."""
    bench.worker("one").claim(next_row)
    bench.clock.advance(1e6)
    assert bench.worker("two").requeue_lost() == ()


def test_signs_of_life_do_not_flood_the_journal(bench: Bench) -> None:
    study = bench.worker("one")
    before = study.state().last
    for _ in range(600):
        study.beat()
        bench.clock.advance(1)
    assert study.state().last - before == 10


@given(st.dictionaries(st.integers(0, 9), st.sampled_from("abc")), st.sets(st.sampled_from("abc")))
def test_lost_are_exactly_the_trials_of_the_dead(holders: dict[int, str], dead: set[str]) -> None:
    running = {number: Run(number, 0, {}, 0, "", worker) for number, worker in holders.items()}
    found = lost(State(running=running), ManualClock().now(), lambda worker: worker not in dead, 600)
    assert set(found) == {number for number, worker in holders.items() if worker in dead}


# --- results ----------------------------------------------------------------------------------------------------------


def late(bench: Bench) -> tuple[Study, Trial, Study, Trial]:
    """A worker that was taken for dead while its network was down, and the one that took over."""
    old = bench.worker("old")
    [first] = old.claim(next_row)
    bench.living.remove("old")
    new = bench.worker("new")
    [second] = new.claim(next_row)
    return old, first, new, second


def test_the_first_result_of_a_run_stays(bench: Bench) -> None:
    old, first, new, second = late(bench)
    kept = old.finish(finished(first, 0.7))
    assert new.finish(finished(second, 0.6)) == kept
    assert new.state().trials == {0: kept}
    assert new.claim(nothing) == []


def test_a_failure_of_who_was_taken_for_dead_does_not_take_the_trial_from_its_heir(bench: Bench) -> None:
    old, first, new, second = late(bench)
    old.fail(first, "no network")
    assert new.state().running[0].worker == "new"
    assert new.finish(finished(second, 0.6)).state == "finished"


def test_who_was_taken_for_dead_cannot_give_back_what_its_heir_has(bench: Bench) -> None:
    old, first, new, _ = late(bench)
    old.release(first.number)
    assert new.state().running[0].worker == "new"
    assert bench.worker("third").claim(nothing) == []


def test_a_late_result_is_better_than_a_trial_given_up(bench: Bench) -> None:
    old, first, _, _ = late(bench)
    for name in ("new", "newer"):
        bench.living.remove(name)
        bench.worker("newer" if name == "new" else "newest").claim(next_row)
    assert fold(Journal.open(bench.path).read()).trials[0].state == "failed"
    assert old.finish(finished(first, 0.7)).values == {"accuracy": 0.7}
    assert fold(Journal.open(bench.path).read()).trials[0].state == "finished"


DEVICE = Device("cpu", "a processor", 1, {})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda trial: finished(trial, math.nan),
        lambda trial: finished(trial, math.inf),
        lambda trial: msgspec.structs.replace(
            finished(trial),
            learning=Learning("a", "d", Recipe(), (Epoch(1, math.nan, 0.1, 1.0, 0.1),), 0.1, None, False, DEVICE),
        ),
    ],
)
def test_a_trial_whose_numbers_are_not_finite_has_failed(bench: Bench, spoil: Callable[[Trial], Trial]) -> None:
    """JSON has no such numbers: they would come back as nothing at all."""
    study = bench.worker("one")
    ended = study.finish(spoil(*study.claim(next_row)))
    assert (ended.state, ended.reason) == ("failed", "its numbers must be finite")
    assert study.state() == fold(Journal.open(bench.path).read())
    assert [trial.number for trial in study.claim(next_row)] == [1]


def test_only_who_claimed_a_trial_ends_it_and_with_its_point(bench: Bench) -> None:
    one, other = bench.worker("one"), bench.worker("other")
    [trial] = one.claim(next_row)
    with pytest.raises(SettingError, match=r"trial 0: only who has claimed .* None is claimed"):
        other.finish(trial)
    with pytest.raises(SettingError, match="trial 0: a trial is finished with the point that was claimed"):
        one.finish(msgspec.structs.replace(trial, point={"row": 5}))
    one.finish(trial)
    with pytest.raises(SettingError, match="only who has claimed"):
        one.finish(trial)


def test_a_result_that_finds_no_room_can_be_written_when_there_is_some(bench: Bench) -> None:
    study = bench.worker("one")
    [trial] = study.claim(next_row)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match="all that was there before is kept"):
            study.finish(finished(trial))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert study.state().running[0].worker == "one"
    assert study.finish(finished(trial)).state == "finished"


# --- notes, plans -----------------------------------------------------------------------------------------------------


def test_the_last_note_of_a_key_comes_back(path: Path) -> None:
    study = Study.create(path, PLAN)
    notes = [Agreement("after 1 of 3 epochs", kendall, 2, ((0.1, 0.2), (0.3, 0.4))) for kendall in (0.5, 1.0)]
    for note in notes:
        study.note("agreement", note)
    state = Study.open(path).state()
    assert state.note("agreement", Agreement) == notes[-1]
    assert state.note("nothing", Agreement) is None
    with pytest.raises(RecordError, match="note 'agreement'"):
        state.note("agreement", Trial)
    with pytest.raises(RecordError, match="note 'agreement'"):
        study.note("agreement", msgspec.structs.replace(notes[0], kendall=math.nan))
    assert Study.open(path).state().note("agreement", Agreement) == notes[-1]


def test_a_study_goes_on_with_its_own_plan_only(path: Path) -> None:
    Study.create(path, PLAN)
    assert Study.open(path, plan=PLAN).plan == Study.open(path).plan == PLAN
    other = msgspec.structs.replace(PLAN, objectives=(Objective("accuracy"), Objective("latency_s", limit=2.0)))
    with pytest.raises(SettingError, match=r"study.db, key 'objectives.1.limit': .* this is 1.0, but got 2.0. Go on"):
        Study.open(path, plan=other)


@given(st.lists(st.booleans() | st.integers(0, 1) | st.sampled_from([0.0, 1.0, "0"]), min_size=1), st.data())
def test_plans_are_one_or_differ_in_a_key_that_is_named(
    values: Sequence[bool | int | float | str], data: st.DataObject
):
    """Numbers and truths that Python holds to be equal are different choices."""
    plan = msgspec.structs.replace(PLAN, space=Space("table", (Choice("row", tuple(values)),)))
    assert difference(plan, plan) is None
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values[:place], "another", *values[place + 1 :]]
    other = msgspec.structs.replace(PLAN, space=Space("table", (Choice("row", tuple(changed)),)))
    assert difference(plan, other) == (f"space.choices.0.values.{place}", values[place], "another")
    truth = msgspec.structs.replace(PLAN, space=Space("table", (Choice("row", (True,)),)))
    one = msgspec.structs.replace(PLAN, space=Space("table", (Choice("row", (1,)),)))
    assert difference(truth, one) == ("space.choices.0.values.0", True, 1)


def test_a_study_that_was_cut_off_before_its_plan_is_begun_by_opening_it_with_one(path: Path) -> None:
    Journal.create(path)
    with pytest.raises(RecordError, match="must hold a plan"):
        _ = Study.open(path).plan
    assert Study.open(path, plan=PLAN).plan == PLAN
    assert [entry.kind for entry in Journal.open(path).read()] == ["plan"]


def test_a_journal_of_something_else_is_named_with_its_entry(path: Path) -> None:
    Study.create(path, PLAN)
    Journal.open(path).append("recipe", b'{"kind": "recipe", "flour": 500}')
    with pytest.raises(RecordError, match=r"study.db, entry 2 key 'kind': invalid value 'recipe'"):
        Study.open(path).state()


def test_a_damaged_study_goes_on_from_what_was_salvaged(bench: Bench, tmp_path: Path) -> None:
    study = bench.worker("one")
    kept = [study.finish(finished(*study.claim(next_row), row / 10)) for row in range(10)]
    spoilt = tmp_path / "spoilt.db"
    shutil.copyfile(bench.path, spoilt)
    with spoilt.open("r+b") as file:
        file.write(b"\0" * 4096)
    with pytest.raises(StoreError, match="salvage"):
        Study.open(spoilt)
    salvage(spoilt, tmp_path / "new.db")
    again = Study.open(tmp_path / "new.db", plan=PLAN)
    assert list(again.state().trials.values()) == kept
    assert [trial.number for trial in again.claim(next_row)] == [10]
