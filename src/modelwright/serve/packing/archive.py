"""model.tar.gz from a folder: the same files give the same bytes, whenever and wherever they are packed."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from modelwright.errors import SettingError
from modelwright.records import File
from modelwright.serve.instances.hugging_face import is_hugging_face
from modelwright.serve.instances.scripts import script_of

SCRIPTS: Mapping[str, str] = {"extractive": "extractive.py", "generative": "generative.py"}
"""Word for a script that comes with Modelwright -> its file in this package."""

_SCRIPT = "code/inference.py"
_REQUIREMENTS = "code/requirements.txt"


def pack(
    folder: Path | None,
    target: Path,
    *,
    script: str = "",
    requirements: str = "",
    handler: str = "",
    beside: Mapping[str, Path] | None = None,
) -> File:
    """Write a model's archive, which appears whole or not at all.

    Args:
        folder: the model's files, with code/inference.py or a Hugging Face model's as save_pretrained writes them; None
            where the script is all of the model.
        target: of the archive, such as model.tar.gz.
        script: a word of SCRIPTS for the code/inference.py of a folder that has none; "" packs the folder as it is.
        requirements: lines of code/requirements.txt for such a script; "" for none.
        handler: what will load the model, so that it needs no script; "" for what fits the folder.
        beside: folder in the archive -> further folder that is packed there.

    Returns:
        The archive's name, digest and size.

    Raises:
        SettingError: the folder holds no model, a link or something else than files, has a script already, or the word
            is not known.
        OSError: a file cannot be read or the archive not be written.
    """
    files: dict[str, Path | bytes] = dict(_files(folder)) if folder else {}
    for name, other in (beside or {}).items():
        files |= {f"{name}/{path}": file for path, file in _files(other).items()}
    if script:
        if script not in SCRIPTS:
            raise SettingError("the script must be known", value=script, way_out=f"Known: {', '.join(SCRIPTS)}.")
        if _SCRIPT in files or "inference.py" in files:
            way_out = "Pack it as it is, without --script."
            raise SettingError("a folder must have one script", where=str(folder), value=_SCRIPT, way_out=way_out)
        files[_SCRIPT] = (resources.files(__package__) / SCRIPTS[script]).read_bytes()
        if requirements:
            files[_REQUIREMENTS] = requirements.encode()
    elif folder is None or not (handler or script_of(folder, {}) or is_hugging_face(folder, {})):
        way_out = f"Write one, or let one be added: {', '.join(SCRIPTS)}."
        raise SettingError(f"a model must have {_SCRIPT} or a config.json", where=str(folder), way_out=way_out)
    part = target.with_name(f".{target.name}.part")
    try:
        _write(files, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    with target.open("rb") as file:
        return File(target.name, hashlib.file_digest(file, "sha256").hexdigest(), target.stat().st_size)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SettingError("a model must be a folder", value=str(folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            way_out = "Put the file itself there: an archive with links is refused wherever it is unpacked."
            raise SettingError("a model must hold plain files and folders", where=name, way_out=way_out)
        if path.is_file() and "__pycache__" not in path.parts:
            found[name] = path
    return found


def _write(files: Mapping[str, Path | bytes], target: Path) -> None:
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            if isinstance(content, bytes):
                archive.addfile(member, io.BytesIO(content))
            else:
                with content.open("rb") as file:
                    archive.addfile(member, file)
