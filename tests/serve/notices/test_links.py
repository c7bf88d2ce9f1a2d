"""A receiver follows the links that it was sent, and needs no key for that; whoever else asks is to sign."""

import asyncio
import contextlib
import secrets
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from cryptography import x509

from modelwright.clock import SystemClock
from modelwright.serve.aws import Access, AwsApp
from modelwright.serve.console import console
from modelwright.serve.service import Service, Site, deliverer, open_service
from modelwright.serve.watching import Watch

KEYS = {"AKID": "secret"}


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Service, str]]:
    """A service that asks for signatures, behind its whole face."""
    heard = socket.create_server(("127.0.0.1", 0))
    url, site, clock = f"http://127.0.0.1:{heard.getsockname()[1]}", Site(folder / "data"), SystemClock()
    async with open_service(site, clock, lambda: secrets.token_hex(8), deliverer(url, site)) as service:
        access = Access(KEYS)
        app = AwsApp(service, access, console(service, Watch(service), access))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[heard]))
        try:
            yield service, url
        finally:
            server.should_exit = True
            await serving


def got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_a_receiver_confirms_checks_hears_and_leaves_by_its_links(
    new_hook: Callable, run: Callable, until: Callable, tmp_path: Path
) -> None:
    async def work() -> None:
        hook = await new_hook().start()
        async with served(tmp_path) as (_, url):
            client = boto3.client(
                "sns", "us-east-1", endpoint_url=url, aws_access_key_id="AKID", aws_secret_access_key="secret"
            )

            async def asked(operation: str, **words: Any) -> Any:
                return await asyncio.to_thread(getattr(client, operation), **words)

            topic = (await asked("create_topic", Name="done"))["TopicArn"]
            await asked("subscribe", TopicArn=topic, Protocol="http", Endpoint=hook.url)
            await until(lambda: hook.seen)
            link = hook.seen[0].json["SubscribeURL"]
            with pytest.raises(urllib.error.HTTPError):
                await asyncio.to_thread(got, link.replace("Token=", "Token=x"))
            for action in ("ListTopics", "DeleteTopic", "Publish", "Subscribe"):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    await asyncio.to_thread(got, f"{url}/?Action={action}&TopicArn={urllib.parse.quote(topic)}")
                assert refused.value.code == 403, "no key, no right"
            assert b"ConfirmSubscriptionResult" in await asyncio.to_thread(got, link)
            name = (await asked("publish", TopicArn=topic, Message="hear"))["MessageId"]
            await until(lambda: len(hook.seen) == 2)
            heard = hook.seen[1].json
            assert (heard["Message"], heard["MessageId"]) == ("hear", name)
            x509.load_pem_x509_certificate(await asyncio.to_thread(got, heard["SigningCertURL"]))
            await asyncio.to_thread(got, heard["UnsubscribeURL"])
            assert (await asked("list_subscriptions_by_topic", TopicArn=topic))["Subscriptions"] == []
            await until(lambda: len(hook.seen) == 3)
            assert hook.seen[2].json["Type"] == "UnsubscribeConfirmation"
        await hook.stop()

    run(work())
