"""The action `search salvage`: a study that goes on with all that can still be read of a damaged one."""

import argparse
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

from modelwright.errors import ModelwrightError, SettingError, StoreError
from modelwright.report.quantity import many
from modelwright.search.site import Site
from modelwright.search.study import Study
from modelwright.store import salvage as copied


def salvage(arguments: argparse.Namespace) -> int:
    """Put a new study in the place of a damaged one, which is kept beside it, and say how much was saved.

    At every moment the place holds a study: a process that dies meanwhile leaves the damaged one.
    """
    folder: Path = arguments.folder
    study = study_in(folder)
    if _whole(study):
        print(f"{study} is whole: there is nothing to salvage.")
        return 0
    kept, new = folder / "study.damaged.db", folder / "study.salvaged.db"
    if kept.exists():
        rule = "a damaged study is kept beside the new one, and another is kept there already"
        raise SettingError(rule, where=str(kept), way_out="Move that away.")
    new.unlink(missing_ok=True)  # of a salvage that was cut short
    saved = copied(study, new)
    try:
        found = Study.open(new).state()
    except ModelwrightError:
        new.unlink()
        raise
    beside = study.with_name(f"{study.name}-journal")
    shutil.copyfile(study, kept)
    if beside.exists():
        shutil.copyfile(beside, kept.with_name(f"{kept.name}-journal"))
    beside.unlink(missing_ok=True)
    new.replace(study)
    with suppress(FileNotFoundError):
        new.with_name(f"{new.name}-journal").unlink()
    print(f"Entries: {saved.kept} saved, {len(saved.lost)} known to be lost among them.")
    ended = sum(trial.state != "running" for trial in found.trials.values())
    print(f"{many(ended, 'trial')} of {len(found.trials)} have an end; others are run again. The old file: {kept}.")
    if found.plan is None:
        print("The plan is lost: with --resume, give the very settings that the search was begun with.")
    print(f"Go on with modelwright search --resume --output {shlex.quote(str(folder))}.")
    return 0


def study_in(folder: Path) -> Path:
    """The study of the search in a folder.

    Raises:
        SettingError: it holds none.
    """
    study = Site(folder).study
    if not study.is_file():
        raise SettingError("the folder must hold a search", where=str(folder), way_out="Name what --output named.")
    return study


def _whole(study: Path) -> bool:
    try:
        Study.open(study).state()
    except StoreError:
        return False
    return True
