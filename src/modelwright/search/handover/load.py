"""A network back from its folder."""

from pathlib import Path

from modelwright.networks.build import build
from modelwright.records import Architecture, DataCard, from_json
from modelwright.search.handover.classifier import Classifier
from modelwright.search.handover.manifest import FILES, verify
from modelwright.training import load_weights


def load_member(folder: Path) -> Classifier:
    """The network of a folder, in evaluation mode on the CPU; every file is held against the manifest first.

    It reads what the data has: uint8 images of (N, C, h, w), which it resizes and normalises itself, or int64 tokens of
    (N, length). `.network` is the bare network, to be trained further or pruned.

    Raises:
        RecordError: a file is missing, changed, or contradicts another; names it.
    """
    manifest = verify(folder)
    file = folder / FILES["architecture"]
    return read_classifier(folder, from_json(file.read_bytes(), Architecture, where=str(file)), manifest.data)


def read_classifier(folder: Path, architecture: Architecture, data: DataCard) -> Classifier:
    """The classifier of an architecture, with the weights that a folder holds.

    Raises:
        RecordError: the weights cannot be read, or belong to another network.
    """
    network = build(architecture)
    load_weights(network, folder / FILES["weights"])
    classifier: Classifier = Classifier(network, architecture, data).eval()
    return classifier
