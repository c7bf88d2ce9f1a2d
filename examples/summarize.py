"""Summaries through the queue: a model is packed, served by one instance, asked, and its answer announced.

The summarizer is extractive: it chooses sentences of the text itself, by LexRank, and needs no download.
"""

import asyncio
import json
import secrets
import tempfile
from pathlib import Path

from modelwright.clock import SystemClock
from modelwright.records import ConfigurationRecord, EndpointSettings, Invocation, ModelRecord, VariantRecord
from modelwright.serve.notices import create_topic, subscribe, topic_arn
from modelwright.serve.objects import place_of
from modelwright.serve.packing import pack
from modelwright.serve.service import Site, deliverer, open_service
from modelwright.serve.state import ENDPOINTS, create_configuration, create_endpoint, create_model

TEXT = """The city council of Washington met to discuss the new bridge over the river. "Is it safe?" asked one member.
The bridge over the river will cost 3.5 million dollars, said the council. Nobody had seen the plans of the bridge. It
rained all day. The council will meet again to discuss the cost of the bridge over the river."""


async def receive(heard: "asyncio.Queue[dict[str, object]]") -> asyncio.Server:
    """A receiver of messages, as anybody's web server is one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        heard.put_nowait(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def main(folder: Path) -> None:
    """Pack, serve, ask, hear."""
    pack(None, folder / "model.tar.gz", script="extractive")
    heard: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    receiver = await receive(heard)
    hook = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    site = Site(folder / "data")
    base = "http://127.0.0.1:8080"  # where this service would be reached, if a front stood before it
    async with open_service(site, SystemClock(), lambda: secrets.token_hex(8), deliverer(base, site)) as service:
        do, bucket = service.ledger.do, site.buckets[0]
        topic = topic_arn(site.region, site.account, "summarized")
        await do(create_topic, topic)
        await do(subscribe, topic, "modelwright:cloudevents", hook, service.ids)
        await do(create_model, ModelRecord("lexrank", str(folder / "model.tar.gz")))
        settings = EndpointSettings(f"s3://{bucket}/out/", success_topic=topic, include_response_in=("success",))
        await do(create_configuration, ConfigurationRecord("one", (VariantRecord("main", "lexrank"),), settings))
        await do(create_endpoint, "summarizer", "one")
        service.poke("summarizer")
        while (await service.ledger.read(ENDPOINTS.get, "summarizer")).status == "Creating":
            await asyncio.sleep(0.05)
        question = json.dumps({"inputs": TEXT, "parameters": {"sentences": 2}}).encode()
        output = f"s3://{bucket}/out/first.json"
        asked = Invocation("summarizer", "first", "", output_location=output, content_type="application/json")
        await service.accept(asked, question)
        event = await heard.get()
        answer = json.loads(await (await service.objects.get(*place_of(output))).read())
    receiver.close()
    print(event["type"], event["subject"])
    for summary in answer:
        print(f"{summary['method']}: {summary['summary_text']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
