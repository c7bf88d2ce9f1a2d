"""Data sets by name, by folder, or from the hub."""

from collections.abc import Callable
from pathlib import Path

from modelwright.errors import RecordError, SettingError, UnknownNameError
from modelwright.registry import Registry, load
from modelwright.training.data import DATA, FORMATS, HUB
from modelwright.training.data.data import Data

Maker = Callable[[Path | None, int], Data]

sources: Registry[Maker] = Registry("data set", DATA, group="modelwright.data")


def dataset(what: str, *, folder: Path | None = None, seed: int = 0) -> Data:
    """A data set for image classification.

    Args:
        what: a name ("digits" needs no file), a folder, or "hf:NAME" for one on Hugging Face's hub. A folder may hold
            class folders of images, idx files, Parquet files in Hugging Face's layout, or what `datasets` saved.
        folder: where a named data set's files are.
        seed: of the splits that are drawn because the data set has none.

    Raises:
        UnknownNameError: no data set has that name, and no folder either.
        SettingError: a folder is needed, or given where it means nothing.
        RecordError: a file, an image or a label breaks a rule.
    """
    if what in sources:
        return sources[what](folder, seed)
    if folder is not None:
        way_out = "Leave it out; the folder itself may be what is named."
        raise SettingError("a folder belongs to a data set that has a name of its own", value=what, way_out=way_out)
    path = Path(what).expanduser()
    hub = what.startswith("hf:")
    if hub or path.is_dir():
        read = load(HUB if hub else FORMATS[kind_of(path)])
        found: Data = read(what.removeprefix("hf:") if hub else path, seed)
        return found
    if path.exists():
        way_out = "Name the folder that it lies in."
        raise RecordError("a data set must be a folder", where=what, way_out=way_out)
    if "/" in what or what.startswith("."):
        raise RecordError("the folder must exist", where=what, way_out="Check its path.")
    raise UnknownNameError("data set", what, sources, way_out="A folder will do too, or hf:NAME from the hub.")


def kind_of(folder: Path) -> str:
    """Which of FORMATS a folder is of, by the names of its files."""
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return "saved"
    if any(folder.glob("*.parquet")):
        return "parquet"
    return "idx" if any(folder.glob("*-images*ubyte*")) else "classes"
