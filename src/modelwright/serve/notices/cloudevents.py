"""CloudEvents 1.0 over HTTP, structured (all in one JSON) and binary (what is not data stands in headers).

Source: CloudEvents specification 1.0.2, and its HTTP protocol binding.
"""

import json
from typing import Any
from urllib.parse import quote

STRUCTURED = "application/cloudevents+json; charset=UTF-8"
_KEPT = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def event(kind: str, source: str, event_id: str, time: str, subject: str = "") -> dict[str, str]:
    """The attributes of an event.

    Args:
        kind: such as "modelwright.inference.completed".
        source: an URI reference of who tells it; with `event_id` it is one of a kind.
        event_id: a repetition keeps it.
        time: as RFC 3339 writes it.
        subject: what it is about; "" for none.
    """
    made = {"specversion": "1.0", "id": event_id, "source": source, "type": kind, "time": time}
    return made | ({"subject": subject} if subject else {})


def structured(attributes: dict[str, str], data: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an event as one JSON."""
    whole = {**attributes, "datacontenttype": "application/json", "data": data}
    return json.dumps(whole, ensure_ascii=False).encode(), {"content-type": STRUCTURED}


def binary(attributes: dict[str, str], data: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an event whose body is its data alone; in headers all but printable ASCII is encoded."""
    headers = {f"ce-{name}": quote(value, safe=_KEPT) for name, value in attributes.items()}
    return json.dumps(data, ensure_ascii=False).encode(), {"content-type": "application/json", **headers}
