"""A judge: nothing is lost by the network itself, and what is lost is counted right; samples that judge are sound."""

import math

import pytest
import torch

from modelwright.errors import SettingError
from modelwright.quantize.judging import MOST_DB, Judge, Samples, decibels, logits
from modelwright.records import Sensitivity, from_json, to_json

LOGITS = torch.eye(10).repeat(5, 1) * 4
LABELS = torch.arange(10).repeat(5)


def itself(given: torch.Tensor) -> torch.Tensor:
    return given


def test_a_network_held_against_itself_loses_nothing() -> None:
    judged = Judge.of(itself, Samples(LOGITS, LABELS), 7)(itself)
    assert (judged.accuracy, judged.drop, judged.mse) == (1.0, 0.0, 0.0)
    assert judged.drop_interval == (0.0, 0.0)
    assert judged.sqnr_db == MOST_DB


def test_what_differs_is_counted_by_hand() -> None:
    def wrong_on_three(given: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(len(given))[:, None] % 10 == 3, -given, given)

    judged = Judge.of(itself, Samples(LOGITS, LABELS), 50)(wrong_on_three)
    assert judged.accuracy == pytest.approx(0.9)
    assert judged.drop == pytest.approx(0.1)
    assert judged.drop_interval is not None
    assert judged.drop_interval[0] < 0.1 < judged.drop_interval[1]
    assert judged.mse == pytest.approx(5 * 8**2 / LOGITS.numel())
    assert judged.sqnr_db == pytest.approx(10 * math.log10(50 * 16 / (5 * 64)))


def test_a_drop_that_is_just_allowed_is_no_more_than_that() -> None:
    """In floats 0.93 - 0.925 is more than 0.005."""
    many = Samples(torch.eye(2).repeat(1000, 1), torch.arange(2).repeat(1000))
    before, after = (torch.arange(2000)[:, None] < wrong for wrong in (140, 150))
    judged = Judge.of(lambda given: torch.where(before, 1 - given, given), many, 2000)(
        lambda given: torch.where(after, 1 - given, given)
    )
    assert judged.drop == 0.005


def test_without_labels_only_noise_is_told() -> None:
    judged = Judge.of(itself, Samples(LOGITS))(lambda given: given * 0.9)
    assert (judged.accuracy, judged.drop, judged.drop_interval) == (None, None, None)
    assert judged.sqnr_db == pytest.approx(20)


@pytest.mark.parametrize("size", [1, 7, 50, 64])
def test_the_size_of_batches_changes_nothing(size: int) -> None:
    assert torch.equal(logits(itself, Samples(LOGITS), size), LOGITS)


def test_what_is_said_of_nothing_lost_and_of_nothing_there_survives_json() -> None:
    nothing = torch.zeros(4)
    assert decibels(nothing, nothing) == MOST_DB
    assert decibels(nothing, nothing + 1) == -MOST_DB
    told = Sensitivity(("a",), decibels(LOGITS, LOGITS), 0.0)
    assert from_json(to_json(told), Sensitivity) == told


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (torch.empty(0, 3), None, "there must be samples"),
        (torch.tensor(1.0), None, "there must be samples"),
        (torch.tensor([[1.0], [2.0], [math.nan]]), None, "sample 2: samples must be finite"),
        (torch.tensor([1.0, math.inf]), None, "sample 1: samples must be finite"),
        (LOGITS, LABELS[:3], "each sample must have one label"),
    ],
)
def test_samples_that_cannot_judge_are_refused(inputs: torch.Tensor, labels: torch.Tensor | None, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Samples(inputs, labels)


def test_networks_that_cannot_be_judged_are_refused() -> None:
    judge = Judge.of(itself, Samples(LOGITS, LABELS))
    with pytest.raises(SettingError, match="both networks must say as much"):
        judge(lambda given: given[:, :5])
    with pytest.raises(SettingError, match="sample 0: what a network says must be finite"):
        judge(lambda given: given / 0)
    with pytest.raises(SettingError, match="Look for NaN"):
        Judge.of(lambda given: given * math.nan, Samples(LOGITS))
