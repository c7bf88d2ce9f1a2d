"""A network's weights in a file, in safetensors' format, which holds numbers and nothing that runs."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from modelwright.errors import RecordError
from modelwright.records import write_whole


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights and buffers; those that share memory are written once.

    Raises:
        OSError: the place cannot be written; nothing half-written stays behind.
    """
    write_whole(path, save({name: value.detach().cpu().contiguous() for name, value in weights_of(network).items()}))


def load_weights(network: nn.Module, path: Path) -> None:
    """Read weights into a network, in place.

    Raises:
        RecordError: the file cannot be read, or does not hold this network's weights; the network is unchanged.
    """
    try:
        found = load(path.read_bytes())
    except (OSError, SafetensorError) as failure:
        rule = f"the file must be whole and in safetensors' format ({failure})"
        raise RecordError(rule, where=str(path), way_out="Write it again with save_weights.") from failure
    own = weights_of(network)
    way_out = "Build the architecture that the weights were saved from."
    for name in sorted(own.keys() ^ found.keys()):
        there = "the file only" if name in found else "the network only"
        raise RecordError(
            "file and network must hold the same weights", where=str(path), value=f"{name}, in {there}", way_out=way_out
        )
    for name, value in own.items():
        if value.shape != found[name].shape:
            rule = f"{name} must have the network's shape {tuple(value.shape)}"
            raise RecordError(rule, where=str(path), value=tuple(found[name].shape), way_out=way_out)
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(found[name])


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and kept buffers by name, each once: of those that are tied, the first name counts."""
    kept = network.state_dict(keep_vars=True)
    once = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value for name, value in once.items() if name in kept}
