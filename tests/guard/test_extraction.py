"""What is extracted is what the last linear layer took and gave, of networks for pictures and for text."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from modelwright.errors import SettingError, ShapeError
from modelwright.guard import extract

PICTURES = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 20, (10, 6), generator=torch.Generator().manual_seed(0))


class Reader(nn.Module):
    """A text classifier with named arguments, whose last layer is not the last that was written down."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 4)
        self.embedding = nn.Embedding(20, 12)
        self.inner = nn.Linear(12, 12)

    def forward(self, input_ids, attention_mask):
        hidden = torch.relu(self.inner(self.embedding(input_ids)))
        mask = attention_mask[..., None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return {"logits": self.head(pooled)}["logits"], hidden


def seer(bias=True):
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(6, 5, bias=bias))


@pytest.mark.parametrize("bias", [True, False])
def test_the_head_makes_the_logits_of_the_features(bias):
    module = seer(bias)
    found = extract(module, [(PICTURES[:6], torch.arange(6)), (PICTURES[6:], torch.arange(4))])
    assert found.head.logits(found.features) == pytest.approx(found.logits, abs=1e-5)
    with torch.no_grad():
        assert found.features == pytest.approx(module.eval()[:-1](PICTURES).numpy(), abs=1e-6)
        assert found.logits == pytest.approx(module(PICTURES).numpy(), abs=1e-6)
    assert found.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]


def test_text_comes_by_the_names_of_arguments():
    batch = {"input_ids": TOKENS, "attention_mask": torch.ones(10, 6), "labels": torch.arange(10) % 4}
    found = extract(Reader(), [batch])
    assert found.features.shape == (10, 12)
    assert found.head.logits(found.features) == pytest.approx(found.logits, abs=1e-5)
    assert found.labels.tolist() == (np.arange(10) % 4).tolist()


def test_several_inputs_come_as_a_tuple():
    batch = ((TOKENS, torch.ones(10, 6)), torch.zeros(10, dtype=torch.int64))
    assert extract(Reader(), [batch]).logits.shape == (10, 4)


def test_how_the_data_is_cut_into_batches_changes_nothing():
    module = seer()
    whole, parts = extract(module, [PICTURES]), extract(module, PICTURES.split(3))
    assert whole.labels is None
    assert parts.features == pytest.approx(whole.features, abs=1e-6)


def test_the_network_is_left_as_it_was():
    module = seer().train()
    module[1].eval()
    before = copy.deepcopy(module.state_dict())
    extract(module, [PICTURES])
    assert module.training
    assert module[3].training
    assert not module[1].training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


def test_a_failure_leaves_no_hook_behind():
    module = seer()
    with pytest.raises(RuntimeError):
        extract(module, [TOKENS.float()])
    assert not any(part._forward_hooks for part in module.modules())


def test_what_is_no_classifier_is_refused():
    with pytest.raises(SettingError, match="linear layer"):
        extract(nn.Sequential(nn.Flatten(), nn.ReLU()), [PICTURES])
    with pytest.raises(ShapeError, match="logits"):
        extract(nn.Conv2d(3, 2, 1), [PICTURES])
    with pytest.raises(SettingError, match="batches"):
        extract(seer(), [])
    with pytest.raises(SettingError, match="labels, or none"):
        extract(seer(), [(PICTURES, torch.arange(10)), PICTURES])
