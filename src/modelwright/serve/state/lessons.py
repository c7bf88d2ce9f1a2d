"""What a database's refusal means, and what to do about it."""

import sqlite3

from sqlalchemy import exc

from modelwright.errors import StoreError

KEPT = "Nothing of this was written, and all that was acknowledged before is kept."
RESTORE = "Nothing was changed. Put a copy of the file in its place, or `sqlite3 FILE .recover` what can still be read."

_CLASSES = {
    "08": ("the database must be within reach", "Start it again; the service goes on by itself."),
    "28": ("the database must let this user in", "Correct the user and the password in its address."),
    "3D": ("the database must be there", "Create it (createdb NAME), or correct its address."),
    "42501": ("this user must have a right to the service's tables", "Grant it, and that to create them."),
    "53": ("the database must have room and memory for one more change", f"{KEPT} Make room, go on."),
    "57": ("the database must be running", "Start it again; the service goes on by itself."),
    "58": ("the database must be able to read and write its files", f"{KEPT} Look at its log and its disk."),
    "XX": ("the database must be whole, and is damaged", "Restore it from a backup."),
}
"""Of PostgreSQL's errors, or classes of them (its documentation, appendix A): the rule and the way out."""


def lesson(failure: Exception, where: str) -> StoreError:
    """The error that teaches what a database's own error means.

    Args:
        failure: SQLAlchemy's, or the driver's.
        where: the database's file or address.
    """
    cause = (failure.orig if isinstance(failure, exc.DBAPIError) else failure) or failure
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, where)
    told = cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}
    state = str(told.get("C", "08"))  # without a code it is the line that failed
    message = told.get("M", cause)
    rule, way_out = _CLASSES.get(state) or _CLASSES.get(state[:2], ("the database must take the change", KEPT))
    return StoreError(f"{rule} ({message})", where=where, way_out=way_out)


def spoils_transaction(failure: Exception) -> bool:
    """Whether a failure inside a transaction is one of the database as a whole, which spoils the changes beside it."""
    if not isinstance(failure, exc.DBAPIError):
        return False
    return failure.connection_invalidated or not isinstance(failure, exc.IntegrityError | exc.DataError)


def _of_sqlite(failure: sqlite3.Error, where: str) -> StoreError:
    code = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest tells finer kinds apart
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            "the disk must have room for one more change", where=where, way_out=f"{KEPT} Make room, go on."
        )
    if code == sqlite3.SQLITE_IOERR:
        way_out = f"{KEPT} Look for a full disk, a quota, a limit on the size of files (ulimit -f) or a failing disk."
        return StoreError(f"the disk must let the file be read and written ({failure})", where=where, way_out=way_out)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        way_out = f"{KEPT} Look for another program that has the file open, such as a shell, and close it."
        return StoreError("no other program may hold the database", where=where, way_out=way_out)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        way_out = "Make the folder, change its permissions, or name another file."
        return StoreError("the database and its folder must be there and writable", where=where, way_out=way_out)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError("the file must be a database, and is no SQLite file", where=where, way_out=RESTORE)
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(f"the file must be whole, and is damaged ({failure})", where=where, way_out=RESTORE)
    return StoreError(f"the database must take the change ({failure})", where=where, way_out=KEPT)
