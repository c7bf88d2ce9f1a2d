"""What is to be quantized, from the words of a command line: a network, its samples, what it can be trained with."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from modelwright.errors import SettingError
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.quantize.judging import Samples
from modelwright.quantize.subject import Subject, Training
from modelwright.records import Architecture, DataCard, Quantization, from_json
from modelwright.search.handover import load_member
from modelwright.search.handover.classifier import Classifier
from modelwright.search.handover.manifest import FILES, RECIPE, verify
from modelwright.training import Data, Split, adapt, dataset, load_weights, preprocess, recipe_for


def subject(model: str, weights: Path | None, data: str, counts: tuple[int, int], seed: int) -> Subject:
    """A network with its samples.

    Args:
        model: a folder that a search handed over, or the name or file of an architecture.
        weights: of an architecture.
        data: a data set's name or folder; "" for the one that the network was trained on.
        counts: training images to calibrate on, validation images to judge on, at most.
        seed: of the splits.

    Raises:
        SettingError: an architecture without weights, or without data; the data do not fit, or are split otherwise.
        RecordError: a file is missing, damaged, or belongs to another network.
        UnknownNameError: there is no such architecture or data set.
    """
    folder = Path(model)
    if (folder / FILES["manifest"]).is_file():
        if weights:
            way_out = "Leave out --weights."
            raise SettingError("a network that was handed over has its weights", where="--weights", way_out=way_out)
        manifest = verify(folder)
        card = manifest.data
        network = load_member(folder).network
        file = folder / FILES["architecture"]
        made, name = from_json(file.read_bytes(), Architecture, where=str(file)), folder.resolve().name
        held = as_trained(dataset(data or card.name, seed=seed), card)
        recipe = _found(folder) if RECIPE[0] in manifest.files else None
    else:
        recipe = None
        if not data or not weights:
            missing = "--data" if not data else "--weights"
            way_out = "Or name a folder that modelwright search handed over."
            rule = "an architecture needs the data that it was trained on, and its weights"
            raise SettingError(rule, where=missing, way_out=way_out)
        held = dataset(data, seed=seed)
        made = adapt(architecture(model), held)
        network, name = build(made), made.name
        load_weights(network, weights)
        card = _card(held)
    see = preprocess(made, held)
    calibration, _ = _some(held.train, counts[0], seed)
    images, labels = _some(held.validation, counts[1], seed)
    return Subject(
        name,
        network,
        Samples(calibration),
        Samples(images, labels),
        held.name,
        whole=lambda inside: Classifier(inside, made, card),
        training=Training(held, see, recipe_for(held)),
        card=card,
        recipe=recipe,
    )


def _found(folder: Path) -> Quantization:
    """The recipe that the search chose."""
    file = folder / RECIPE[1]
    return from_json(file.read_bytes(), Quantization, where=str(file))


def _some(split: Split, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Up to `count` images and labels, drawn."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count]
    parts = list(split.batches([order]))
    images, labels = (torch.cat([part[place] for part in parts]) for place in (0, 1))
    return images.cpu(), labels.cpu()


def as_trained(data: Data, card: DataCard) -> Data:
    """Data that are seen as the network sees them.

    Raises:
        SettingError: they are those that it was trained on, but drawn into other splits.
    """
    ours, theirs = (*data.mean, *data.std), (*card.mean, *card.std)
    alike = len(ours) == len(theirs) and all(map(partial(math.isclose, rel_tol=1e-6), ours, theirs))
    if data.name == card.name and not alike:
        rule = "the splits must be those of the training, or the network is judged on images that it has learned"
        raise SettingError(rule, where="--seed", way_out="Give the seed of the search that handed it over.")
    return replace(data, mean=card.mean, std=card.std)


def _card(data: Data) -> DataCard:
    counts = {"validation": len(data.validation), "test": len(data.test)}
    return DataCard(data.name, data.classes, data.shape, data.mean, data.std, counts)
