"""From a guard's decisions to labels: what is deferred reaches people, and what they find moves the threshold."""

from pathlib import Path

import numpy as np
import pytest

from modelwright.clock import ManualClock
from modelwright.errors import SettingError
from modelwright.guard import Queue, hand_over
from modelwright.guard.audit import audited_risk
from modelwright.guard.decisions import Decisions
from modelwright.guard.recalibrate import recalibrated
from modelwright.records import ReviewRules

RULES = ReviewRules(classes=("cat", "dog"), audit=0.2, seed=1)


def decided(reason: list[int], label: list[int], probability: list[float], score: list[float]) -> Decisions:
    return Decisions(np.array(reason, np.int8), np.array(label), np.array(probability), np.array(score))


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue.create(tmp_path / "queue.db", RULES, ManualClock())


def test_each_deferral_reaches_a_person_with_its_reason_the_least_known_first(queue: Queue) -> None:
    decisions = decided([1, 2, 3, 0], [0, 1, -1, 1], [0.9, 0.6, np.nan, 0.99], [9.0, 1.0, np.nan, 0.5])
    handed = hand_over(queue, ["a", "b", "c", "d"], decisions, texts=["one", "two", "three", "four"])
    assert handed.deferred == ("a", "b", "c")
    given = [ticket.item for ticket in queue.claim("ann", 4) if not ticket.item.audit]
    assert [(one.key, one.predicted, one.reason, one.text) for one in given] == [
        ("c", "", "score unavailable", "three"),
        ("b", "dog", "uncertain", "two"),
        ("a", "cat", "out of distribution", "one"),
    ]
    before = queue.counts()
    assert hand_over(queue, ["a", "b", "c", "d"], decisions) == handed
    assert queue.counts() == before


def test_a_policy_sets_the_order(queue: Queue) -> None:
    decisions = decided([2, 2], [0, 1], [0.9, 0.6], [1.0, 1.0])
    hand_over(queue, ["a", "b"], decisions, priority=np.array([2.0, 1.0]), vectors=np.eye(2))
    assert [ticket.item.key for ticket in queue.claim("ann", 2)] == ["a", "b"]
    assert queue.state().items["b"].vector == (0.0, 1.0)


def test_verdicts_tell_the_risk_and_a_threshold_that_keeps_it(tmp_path: Path) -> None:
    """Scores up to 0.8 are accepted, and of a score s the share s^2 is wrong: 21 % of the accepted, 12 % up to 0.6."""
    queue = Queue.create(tmp_path / "loop.db", ReviewRules(audit=0.4))
    draw = np.random.default_rng(2)
    score = draw.random(400)
    wrong = draw.random(400) < score**2
    decisions = Decisions((score > 0.8).astype(np.int8), np.zeros(400, np.int64), 1.0 - score**2, score)
    handed = hand_over(queue, [str(row) for row in range(400)], decisions)
    while tickets := queue.claim("ann", 500):
        for ticket in tickets:
            queue.decide(ticket.item.key, "1" if wrong[int(ticket.item.key)] else "0", "ann")
    verdicts = queue.verdicts()
    assert len(verdicts) == len(handed.deferred) + len(handed.audited)
    risk = audited_risk(verdicts)
    assert risk.judged == len(handed.audited)
    assert risk.low < 0.8**2 / 3 < risk.high
    found = recalibrated(verdicts, [0.2, 0.4, 0.6, 0.8, 1.0], 0.3)
    assert found.threshold in (0.6, 0.8)  # among all, a third is wrong
    assert found.accepted == pytest.approx(found.threshold, abs=0.08)


def test_what_does_not_fit_together_is_refused(queue: Queue) -> None:
    decisions = decided([1], [0], [0.5], [1.0])
    for given in ({"texts": ["a", "b"]}, {"vectors": np.ones((2, 2))}, {"priority": np.ones(2)}):
        with pytest.raises(SettingError, match="one for each of the 1 keys"):
            hand_over(queue, ["a"], decisions, **given)
    with pytest.raises(SettingError, match="name each class"):
        hand_over(queue, ["a"], decided([1], [2], [0.5], [1.0]))
    assert queue.counts().items == 0


def test_without_names_classes_are_their_numbers(tmp_path: Path) -> None:
    queue = Queue.create(tmp_path / "numbers.db")
    hand_over(queue, ["a"], decided([1], [7], [0.5], [1.0]))
    assert queue.state().items["a"].predicted == "7"
