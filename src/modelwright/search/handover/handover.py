"""Hand a network over: record, weights, programs that run elsewhere, a card that says what it is, a manifest."""

import copy
import re
from importlib import metadata
from pathlib import Path

import msgspec
import torch
from torch import nn

from modelwright.errors import RecordError, SettingError
from modelwright.networks.trace import trace
from modelwright.records import Manifest, Member, to_json, write_whole
from modelwright.search.handover.card import Facts, card
from modelwright.search.handover.check import write_formats
from modelwright.search.handover.classifier import Classifier
from modelwright.search.handover.context import Context
from modelwright.search.handover.manifest import FILES, RECIPE
from modelwright.store import file_of, whole_folder

_PACKAGES = ("modelwright", "onnx", "onnxruntime", "onnxscript", "safetensors", "torch")


def hand_over(network: nn.Module, member: Member, folder: Path, *, context: Context) -> Member:
    """Write a network's own folder, and return its record with `files` filled: role -> path from `folder`.

    The network is left as it is. Its folder, `folder / member.name`, appears whole or not at all; one that is there is
    replaced only by a complete one.

    Args:
        network: of `member.architecture`, trained; anywhere, in any mode.
        member: its record.
        folder: where all networks of the search lie.
        context: where they come from.

    Raises:
        SettingError: the name is no folder's, the data has other classes, or another folder is in the way.
        ShapeError: the network does not read the data's samples.
        RecordError: an accuracy is no count of images out of a split's.
        ExportError: a format cannot be written, or gives other outputs than the network.
        OSError: the place cannot be written; it is as it was.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", member.name):
        rule, way_out = "a network's name must do as a folder's", "Take letters, digits, and . _ @ + - within."
        raise SettingError(rule, where="name", value=member.name, way_out=way_out)
    _check_counts(member, context)
    classifier = Classifier(_copied(network), member.architecture, context.data).eval()
    made_at = context.clock.now().isoformat(timespec="seconds")
    versions = {package: found for package in _PACKAGES if (found := _version(package))}
    names = dict([*FILES.items(), RECIPE])
    with whole_folder(folder / member.name, tuple(names.values())) as part:
        differences = write_formats(classifier, member.architecture, context.data, part, member.name)
        parameters, macs = _size(classifier)
        facts = Facts(member, context, parameters, macs, made_at, versions, differences)
        write_whole(part / FILES["card"], card(facts))
        if member.recipe is not None:
            write_whole(part / RECIPE[1], to_json(member.recipe))
        else:
            del names[RECIPE[0]]
        manifest = Manifest(
            name=member.name,
            files={role: file_of(part / name) for role, name in names.items() if role != "manifest"},
            data=context.data,
            made_at=made_at,
            versions=versions,
            differences=differences,
            study=context.study,
            commit=context.commit,
        )
        write_whole(part / FILES["manifest"], to_json(manifest))
    files = {role: f"{member.name}/{name}" for role, name in names.items()}
    return msgspec.structs.replace(member, files=files)


def _copied(network: nn.Module) -> nn.Module:
    made = copy.deepcopy(network).cpu().eval()
    for parameter in made.parameters():
        parameter.requires_grad_(False)
    return made


def _check_counts(member: Member, context: Context) -> None:
    learning = member.learning
    accuracies = [("validation", learning.accuracy), ("test", learning.test_accuracy), *member.accuracies.items()]
    for split, accuracy in accuracies:
        total = context.data.images.get(split)
        if accuracy is None or total is None:
            continue
        if not 0 <= accuracy <= 1 or abs(accuracy * total - round(accuracy * total)) > 1e-6 * total:
            rule = f"the {split} accuracy must be a count over the split's {total} images"
            way_out = "Describe the very splits that it was judged on."
            raise RecordError(rule, where=f"{member.name}, {split}", value=accuracy, way_out=way_out)


def _size(classifier: Classifier) -> tuple[int, int]:
    """Parameters, those that are shared counted once, and multiply-accumulates of one sample, without preprocessing."""
    with torch.no_grad():
        example = classifier.draw(2)
        found = trace(classifier.network, classifier.see(example) if classifier.see else example)
    return found.parameters, found.macs // found.batch


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
