"""What a network is handed over with: its data in words and numbers, and its files with their digests."""

import hashlib
from typing import Annotated

import msgspec

from modelwright.records.platform import Count

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class DataCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set as the user of a network must know it.

    Attributes:
        name: the word or folder that it was asked for by.
        classes: their names, label 0 first; empty where labels have no names, as tokens.
        shape: of one sample, as the data has it: (channels, height, width), or (length,) of token numbers.
        mean, std: of each channel, pixels from 0 to 1; empty for tokens.
        images: samples of each split by its name ("validation", "test").
    """

    name: str
    classes: tuple[str, ...]
    shape: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=3)]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    images: dict[str, Count] = {}


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a folder.

    Attributes:
        path: its name in the folder.
        sha256: of its bytes, in hexadecimal digits.
        bytes: how many there are.
    """

    path: FileName
    sha256: Digest
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network's folder holds, so that a file which is missing or changed is found.

    Attributes:
        name: the network's.
        files: role ("architecture", "weights", "program", "onnx", "card") -> file.
        data: what it was trained on, and what its programs read.
        made_at: when, ISO 8601 in UTC.
        versions: package -> version that the files were written and checked with.
        differences: role -> the largest difference that was found between its outputs and the network's, over the
            largest absolute output.
        study: digest, or another word, by which the search is known.
        commit: the project's commit, "" outside a checkout.
    """

    name: str
    files: dict[str, File]
    data: DataCard
    made_at: str
    versions: dict[str, str] = {}
    differences: dict[str, float] = {}
    study: str = ""
    commit: str = ""

    @property
    def digest(self) -> str:
        """Of all files: what has the same digest has the same roles, names and bytes."""
        rows = sorted((role, file.path, file.sha256) for role, file in self.files.items())
        return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
