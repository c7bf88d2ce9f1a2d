"""Answers and errors in the forms of AWS's protocols."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.sax.saxutils import escape

import msgspec

from modelwright.serve.aws.exchange import Reply

Protocol = Literal["json", "rest-json", "query", "s3"]

_XML = "application/xml"


class Entries(dict[str, str]):
    """A map as the query protocol writes it."""


def json_reply(content: Any, request_id: str, version: str = "1.1", status: int = 200) -> Reply:
    """An answer as JSON."""
    headers = {"content-type": f"application/x-amz-json-{version}", "x-amzn-requestid": request_id}
    return Reply(msgspec.json.encode(content), status, headers)


def query_reply(action: str, content: Mapping[str, Any], request_id: str, namespace: str) -> Reply:
    """An answer of the query protocol: XML, lists as <member>."""
    inner = f"<{action}Result>{xml(content)}</{action}Result>"
    told = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    body = f'<{action}Response xmlns="{namespace}">{inner}{told}</{action}Response>'
    return Reply(body.encode(), headers={"content-type": "text/xml", "x-amzn-requestid": request_id})


def xml(content: Any) -> str:
    """Plain values as XML: mappings by their names, `Entries` as entries, lists as members."""
    if isinstance(content, Entries):
        rows = ({"key": key, "value": value} for key, value in content.items())
        return "".join(f"<entry>{xml(row)}</entry>" for row in rows)
    if isinstance(content, Mapping):
        return "".join(f"<{name}>{xml(value)}</{name}>" for name, value in content.items() if value is not None)
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "".join(f"<member>{xml(value)}</member>" for value in content)
    if isinstance(content, bool):
        return "true" if content else "false"
    return clean_xml(str(content))


def clean_xml(text: str) -> str:
    """A text that XML can hold; what it cannot stands as a question mark."""
    kept = "".join(one if one in "\t\n\r" or (one >= " " and one not in "\ufffe\uffff") else "?" for one in text)
    return escape(kept.encode("utf-8", "replace").decode(), {"\r": "&#13;"})


def error_reply(protocol: Protocol, code: str, status: int, message: str, request_id: str) -> Reply:
    """An error in a protocol's form."""
    if protocol == "s3":
        if status == 304:
            return Reply(b"", 304, {"x-amz-request-id": request_id})
        told = f"<Code>{code}</Code><Message>{clean_xml(message)}</Message><RequestId>{request_id}</RequestId>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}</Error>'
        return Reply(body.encode(), status, {"content-type": _XML, "x-amz-request-id": request_id})
    if protocol == "query":
        side = "Sender" if status < 500 else "Receiver"
        told = f"<Type>{side}</Type><Code>{code}</Code><Message>{clean_xml(message)}</Message>"
        body = f"<ErrorResponse><Error>{told}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        return Reply(body.encode(), status, {"content-type": "text/xml", "x-amzn-requestid": request_id})
    headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": request_id}
    if protocol == "rest-json":
        headers |= {"content-type": "application/json", "x-amzn-errortype": code}
        return Reply(msgspec.json.encode({"Message": message}), status, headers)
    side = "Sender" if status < 500 else "Receiver"
    headers["x-amzn-query-error"] = f"{code};{side}"
    return Reply(msgspec.json.encode({"__type": code, "message": message, "Message": message}), status, headers)
