"""Alarms are put, deleted, and told the states that the autoscaler finds them in."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from modelwright.records import AlarmRecord
from modelwright.records.autoscaling import AlarmState
from modelwright.serve.scalables.kinds import ALARMS
from modelwright.serve.state import Unit


def put_alarm(unit: Unit, record: AlarmRecord) -> AlarmRecord:
    """Add an alarm, or change it; its state stays.

    Raises:
        RecordError: it breaks a rule.
    """
    before = ALARMS.find(unit.connection, record.name)
    if before is None:
        return ALARMS.create(unit, replace(record, updated_at=unit.at))
    return ALARMS.replace(unit, replace(record, state=before.state, reason=before.reason, updated_at=before.updated_at))


def delete_alarms(unit: Unit, names: Sequence[str]) -> None:
    """Remove alarms, all or none.

    Raises:
        UnknownNameError: one of them is not there.
    """
    for name in names:
        ALARMS.delete(unit, name)


def note_states(unit: Unit, states: Mapping[str, AlarmState], reason: str) -> list[AlarmRecord]:
    """Note the states of alarms; those that changed."""
    changed = []
    for name, state in states.items():
        before = ALARMS.find(unit.connection, name)
        if before is not None and before.state != state:
            after = replace(before, state=state, reason=reason, updated_at=unit.at)
            changed.append(ALARMS.replace(unit, after))
    return changed
