"""A packed summarizer answers through the queue, and its answer is announced."""

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.clock import SystemClock
from modelwright.records import (
    ConfigurationRecord,
    EndpointSettings,
    Invocation,
    ModelRecord,
    RequestRecord,
    VariantRecord,
)
from modelwright.serve.objects import place_of
from modelwright.serve.packing import pack
from modelwright.serve.service import Service, Site, open_service
from modelwright.serve.state import ENDPOINTS, create_configuration, create_endpoint, create_model, request


async def until(true: Callable[[], object], patience_s: float = 120.0) -> None:
    async with asyncio.timeout(patience_s):
        while not true():
            await asyncio.sleep(0.02)


async def summarized(service: Service, archive: Path, texts: list[str]) -> list[RequestRecord]:
    """Serve an archive, ask it, and wait for all ends."""
    do, bucket = service.ledger.do, service.site.buckets[0]
    await do(create_model, ModelRecord("model", str(archive)))
    settings = EndpointSettings(f"s3://{bucket}/out/")
    await do(create_configuration, ConfigurationRecord("made", (VariantRecord("main", "model"),), settings))
    await do(create_endpoint, "summarizer", "made")
    service.poke("summarizer")
    await until(lambda: service.state.read(ENDPOINTS.get, "summarizer").status == "InService")
    asked = []
    for number, text in enumerate(texts):
        body = json.dumps({"inputs": text, "parameters": {"max_new_tokens": 4}}).encode()
        location = f"s3://{bucket}/out/{number}"
        one = Invocation("summarizer", f"{number}", "", output_location=location, content_type="application/json")
        asked.append(await service.accept(one, body))

    def ends() -> list[RequestRecord]:
        found = [service.state.read(request, one.number) for one in asked]
        return [one for one in found if one is not None and one.finished]

    await until(lambda: len(ends()) == len(asked))
    return ends()


@pytest.mark.parametrize("packed", ["generative", "extractive"])
def test_a_summarizer_answers_through_the_queue(packed: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue("pegasus") if packed == "generative" else None
    pack(folder, tmp_path / "m.tar.gz", script=packed)
    names = ("PATH", "HOME")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    texts = ["the cat sat on the mat", "a dog ran under the hill"]

    async def main() -> None:
        site = Site(tmp_path / "data", environment=environment)
        async with open_service(site, SystemClock(), lambda: secrets.token_hex(8)) as service:
            for one, text in zip(await summarized(service, tmp_path / "m.tar.gz", texts), texts, strict=True):
                assert (one.state, one.reason) == ("completed", "")
                found = await service.objects.get(*place_of(one.invocation.output_location))
                (answer,) = json.loads(await found.read())
                if packed == "extractive":
                    assert answer == {"summary_text": text, "method": "extractive"}, "a sentence is its own summary"
                else:
                    assert list(answer) == ["summary_text"]

    asyncio.run(main())
