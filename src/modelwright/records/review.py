"""Work with people: what is reviewed and under which rules, what reviewers found, and what follows from it."""

from typing import Annotated, Literal

import msgspec

from modelwright.records.platform import Count, Positive
from modelwright.records.recipe import Share, Whole
from modelwright.records.space import Word

Likeness = Annotated[float, msgspec.Meta(ge=0.5, le=1)]
Chance = Annotated[float, msgspec.Meta(gt=0, le=1)]
Confidence = Annotated[float, msgspec.Meta(gt=0, lt=1)]
DriftKind = Literal["", "rose", "fell", "spread", "narrowed"]
"""What scores did."""


class ReviewRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of a review queue, fixed when it is made.

    Attributes:
        classes: that a verdict may name, in the classifier's order; none for any word.
        lease_s: so long an item is held for the reviewer who claimed it, seconds.
        audit: share of accepted items that are looked at as well, drawn by chance.
        audit_turns: share of claims that audits are given while both audits and deferred items wait, so that a backlog
            of the one does not keep the other from being looked at.
        text_likeness: texts whose sets of shingles overlap so far (Jaccard) are near-duplicates; 1 for equal sets only.
        vector_likeness: likewise vectors of such a cosine, where an item has no text.
        shingle: characters of a shingle.
        seed: of the audit's draw and of the hashes.
    """

    classes: tuple[Word, ...] = ()
    lease_s: Positive = 600.0
    audit: Share = 0.02
    audit_turns: Share = 0.1
    text_likeness: Likeness = 0.8
    vector_likeness: Likeness = 0.98
    shingle: Count = 5
    seed: Whole = 0


class ReviewItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input that a person may look at.

    Attributes:
        key: its name, unique in the queue.
        predicted: the class that the classifier gave it.
        text: what a reviewer is shown; "" where there is none.
        vector: its features, for near-duplicates and clusters; none where there are none.
        reason: why it was deferred; "audit" for an accepted one.
        probability: of the predicted class.
        score: of the guard, higher for less familiar; None where it is unavailable.
        priority: the higher, the sooner it is looked at; audits take turns instead.
        propensity: the probability with which it came into the queue.
        details: what else a reviewer may want to see.
    """

    key: Word
    predicted: str = ""
    text: str = ""
    vector: tuple[float, ...] = ()
    reason: str = ""
    probability: float | None = None
    score: float | None = None
    priority: float = 0.0
    propensity: Chance = 1.0
    details: dict[str, str] = {}

    @property
    def audit(self) -> bool:
        """Whether it had been accepted and is looked at to learn how often that is wrong."""
        return self.reason == "audit"


class Verdict(msgspec.Struct, frozen=True):
    """What a reviewer found, of an item or of one that it is a near-duplicate of.

    Attributes:
        key: of the item.
        label: its true class; None for none of the known classes.
        predicted: the class that the classifier gave it.
        reviewer: who says so.
        at: when, ISO 8601 in UTC.
        reason: why the item was in the queue.
        score: of the guard; None where it is unavailable.
        propensity: the probability with which the item came into the queue.
        copied_from: the key of the item that was looked at in its stead; "" where it was looked at itself.
    """

    key: str
    label: str | None
    predicted: str
    reviewer: str
    at: str
    reason: str = ""
    score: float | None = None
    propensity: float = 1.0
    copied_from: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the classifier was."""
        return self.label != self.predicted


class ReviewCounts(msgspec.Struct, frozen=True):
    """How a review queue stands; near-duplicates count by themselves, with the state of the item looked at.

    Attributes:
        items: all.
        waiting: free to be claimed.
        held: by reviewers, under a lease.
        decided: with a verdict.
        copies: those of all items that are not looked at themselves.
        audits: accepted items among all, of which `audits_decided` have a verdict.
    """

    items: int = 0
    waiting: int = 0
    held: int = 0
    decided: int = 0
    copies: int = 0
    audits: int = 0
    audits_decided: int = 0


class AuditedRisk(msgspec.Struct, frozen=True):
    """How often accepted predictions are wrong, as audits tell.

    Attributes:
        risk: the share, weighted by inverse propensity; None before the first verdict.
        low, high: ends of its confidence sequence: at every time at once they hold the true share with `confidence`.
        confidence: with which they do.
        judged, wrong: audits with a verdict, and those whose prediction was wrong.
    """

    risk: float | None
    low: float
    high: float
    confidence: Confidence
    judged: int
    wrong: int


class Recalibration(msgspec.Struct, frozen=True):
    """A threshold that verdicts speak for.

    Attributes:
        threshold: scores up to it are accepted; None where none keeps the risk.
        risk: the bound on the share of errors among the accepted that was asked for.
        confidence: with which it is kept.
        estimate: of that share at the threshold; None where there is none.
        accepted: estimated share of all items that it accepts.
        judged: verdicts that were counted.
        why: in one sentence.
    """

    threshold: float | None
    risk: float
    confidence: Confidence
    estimate: float | None
    accepted: float
    judged: int
    why: str

    @property
    def holds(self) -> bool:
        """Whether there is such a threshold."""
        return self.threshold is not None


class ClassOffer(msgspec.Struct, frozen=True):
    """Deferred items that resemble one another, offered as a new class.

    Attributes:
        members: their keys, the nearest to the middle first.
        cohesion: mean cosine of a member with the middle.
        separation: cosine of the middle with the nearest other one; -1 where there is no other.
        exemplars: keys of those that a person should look at to name it: the first members.
    """

    members: tuple[str, ...]
    cohesion: float
    separation: float
    exemplars: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many items it has."""
        return len(self.members)


class DriftMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a watch over scores remembers, so that it goes on after a restart as if there had been none.

    Attributes:
        alpha: the probability of a false alarm, ever, is at most this.
        seed: of the draws that part equal scores.
        scores: all so far, the calibration's too, in rising order.
        seen: how many of them were watched.
        stakes: what each gambler has on the table.
        evidence: what they own together.
        raised_at: the number of the score at which the alarm was raised, from 1; 0 for not yet.
        kind: what spoke loudest then.
    """

    alpha: Confidence
    seed: Whole
    scores: tuple[float, ...]
    stakes: tuple[float, ...]
    seen: Whole = 0
    evidence: float = 1.0
    raised_at: Whole = 0
    kind: DriftKind = ""


class Drift(msgspec.Struct, frozen=True):
    """What is known of whether the scores of the traffic have changed.

    Attributes:
        alarm: whether they have, as far as evidence of this strength says.
        seen: scores that were watched.
        alpha: the probability of a false alarm, ever, is at most this.
        evidence: what a gambler against "nothing has changed" owns now, of 1 at the beginning; at 1 / alpha the alarm
            is raised and stays.
        raised_at: the number of the score at which it was, from 1; 0 for not yet.
        kind: what speaks loudest, or did when the alarm was raised; "" before there is evidence.
    """

    alarm: bool
    seen: int
    alpha: Confidence
    evidence: float
    raised_at: int
    kind: DriftKind
