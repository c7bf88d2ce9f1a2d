"""An endpoint is asked, at once or through its queue."""

import io
import uuid
from dataclasses import dataclass
from typing import final
from urllib.parse import quote

from modelwright.errors import UnknownNameError
from modelwright.serve.client.client import Client, refusal

MOST_INLINE = 128_000
"""Bytes that an asynchronous request may bring itself; longer inputs are put into the object store before."""


@final
@dataclass(frozen=True)
class Invoked:
    """What came of asking.

    Attributes:
        inference_id: of an asynchronous request; "" of a call that was answered at once.
        output: address of its answer; "" likewise.
        body: the answer, where it came at once.
        content_type: of the answer.
    """

    inference_id: str
    output: str
    body: bytes = b""
    content_type: str = ""


def invoke(
    client: Client,
    endpoint: str,
    body: bytes,
    content_type: str = "application/json",
    accept: str = "",
    inference_id: str = "",
) -> Invoked:
    """Ask an endpoint.

    Args:
        client: of the service.
        endpoint: its name.
        body: the input.
        content_type: of the input.
        accept: of the answer; "" leaves it to the model.
        inference_id: of an asynchronous request; "" for a new one.

    Raises:
        UnknownNameError: there is no such endpoint.
        StoreError, RefusedError: the service cannot be reached, or refuses.
    """
    status = client.status()
    known = {one.name: one for one in status.endpoints}
    if endpoint not in known:
        raise UnknownNameError("endpoint", endpoint, known)
    name = quote(endpoint)
    if not known[endpoint].asynchronous:
        headers = {"content-type": content_type} | ({"accept": accept} if accept else {})
        _, told, content = _checked(client, f"/endpoints/{name}/invocations", body, headers)
        return Invoked("", "", content, told.get("content-type", ""))
    inference_id = inference_id or str(uuid.uuid4())
    headers = {
        "x-amzn-sagemaker-content-type": content_type,
        "x-amzn-sagemaker-inference-id": inference_id,
    }
    if accept:
        headers["x-amzn-sagemaker-accept"] = accept
    if not body or len(body) > MOST_INLINE:
        key = f"inputs/{endpoint}/{inference_id}"
        location = client.put(status.bucket, key, io.BytesIO(body), len(body), content_type)
        headers["x-amzn-sagemaker-inputlocation"] = location
        body = b""
    _, told, _ = _checked(client, f"/endpoints/{name}/async-invocations", body, headers)
    return Invoked(inference_id, told.get("x-amzn-sagemaker-outputlocation", ""))


def _checked(client: Client, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    status, told, content = client.exchange("POST", path, body, headers, "sagemaker")
    if status >= 400:
        raise refusal(status, content, client.url)
    return status, dict(told), content
