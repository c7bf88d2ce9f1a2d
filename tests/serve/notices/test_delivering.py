"""A message reaches its receiver at least once, in order on its line, or is kept with the reason."""

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelwright.records import ConfigurationRecord, EndpointSettings, Invocation, ModelRecord, VariantRecord
from modelwright.serve.notices import create_topic, delete_topic, unsubscribe
from modelwright.serve.objects import About
from modelwright.serve.state import (
    State,
    accept,
    cancel,
    create_configuration,
    create_endpoint,
    create_model,
    publish,
    redeliver,
    set_status,
    sweep,
)


def test_a_receiver_that_fails_for_a_while_hears_a_message_once_it_is_back(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook(500, "drop", "half", 503, 429, 200)
            await it.subscribed(hook.url)
            await it.say("hear")
            (message,) = await it.settled()
            assert message.state == "delivered"
            assert message.attempts in (5, 6), "a kept connection that breaks is made anew in the same attempt"
            assert len({one.headers["webhook-id"] for one in hook.seen}) == 1, "a repetition keeps its id"
            assert {one.json["data"]["message"] for one in hook.seen} == {"hear"}

    run(work())


def test_a_receiver_that_is_down_is_tried_until_it_is_up(office: Callable, run: Callable, until: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            await hook.stop()
            await it.do(publish, hook.url, "hear")
            await until(lambda: any("connection failed" in one.reason for one in it.messages("waiting")))
            await hook.start(hook.port)
            assert [one.state for one in await it.settled()] == ["delivered"]
            assert hook.seen

    run(work())


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 413, 422])
def test_a_receivers_last_word_is_kept_and_nobody_is_asked_again(office: Callable, run: Callable, status: int) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook(status)
            await it.subscribed(hook.url)
            await it.say()
            (message,) = await it.settled()
            assert (message.state, message.attempts, len(hook.seen)) == ("undelivered", 1, 1)
            assert f"answered {status}" in message.reason
            await it.do(redeliver, message.number)
            assert [one.state for one in await it.settled()] == ["delivered"], "people may have it sent again"

    run(work())


def test_a_redirection_is_not_followed(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            other = await it.hook()
            answer = f"HTTP/1.1 307 Go\r\nlocation: {other.url}\r\ncontent-length: 0\r\n\r\n".encode()
            hook = await it.hook(answer)
            await it.do(publish, hook.url, "hear")
            (message,) = await it.settled()
            assert (message.state, other.connections) == ("undelivered", 0)

    run(work())


def test_a_receiver_that_never_answers_is_left_and_holds_up_no_other(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office(timeout_s=0.5) as it:
            await it.topic()
            slow, quick = await it.hook(*["hang"] * 40), await it.hook()
            for number in range(20):
                await it.do(publish, slow.url, f"slow {number}")
            await it.do(publish, quick.url, "quick")
            await it.topic()
            async with asyncio.timeout(30):
                while not quick.seen:
                    await asyncio.sleep(0.005)
            assert not [one for one in it.messages("delivered") if one.receiver == slow.url]
            late = [one.reason for one in it.messages("waiting") if one.reason]
            assert all("no answer within" in reason for reason in late)

    run(work())


def test_messages_of_a_line_arrive_in_their_order_whatever_fails_between(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook(500, 200, "drop", 503, 200, "half")
            await it.subscribed(hook.url)
            for number in range(8):
                await it.do(publish, await it.topic(), f"{number}", "request 1")
            assert {one.state for one in await it.settled()} == {"delivered"}
            heard = [int(one.json["data"]["message"]) for one in hook.seen]
            assert sorted(set(heard)) == list(range(8))
            assert heard == sorted(heard), "a repetition comes before what follows"

    run(work())


def test_all_subscriptions_hear_a_message_and_one_that_fails_keeps_it_from_no_other(
    office: Callable, run: Callable
) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hooks = [await it.hook(*answers) for answers in ([404], [500], [])]
            for hook in hooks:
                await it.subscribed(hook.url)
            name = await it.say("hear")
            states = {one.receiver: one.state for one in await it.settled()}
            assert sorted(states.values()) == ["delivered", "delivered", "undelivered"]
            assert {one.headers["webhook-id"] for hook in hooks for one in hook.seen} == {f"msg_{name}"}

    run(work())


def test_many_messages_share_few_connections(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            hook = await it.hook()
            for number in range(200):
                await it.do(publish, hook.url, f"{number}")
            assert {one.state for one in await it.settled()} == {"delivered"}
            assert len(hook.seen) == 200
            assert hook.connections <= 16

    run(work())


def test_whoever_is_gone_is_told_nothing_more(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            record, _ = await it.subscribed(hook.url)

            def both(unit: Any) -> None:
                publish(unit, record.topic, "hear")
                unsubscribe(unit, record.name)

            await it.do(both)
            (message,) = await it.settled()
            assert (message.state, hook.seen) == ("undelivered", [])
            await it.do(delete_topic, record.topic)
            await it.do(delete_topic, record.topic)
            assert (await it.do(create_topic, record.topic)).name == record.topic

    run(work())


def test_a_message_that_cannot_be_delivered_is_counted(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            hook = await it.hook(404)
            await it.do(publish, hook.url, "hear")
            await it.settled()
            assert it.state.totals() == [], "it told of no request"

    run(work())


def test_an_endless_answer_is_not_read(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            hook = await it.hook(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 200_000)
            await it.do(publish, hook.url, "hear")
            assert [one.state for one in await it.settled()] == ["delivered"]

    run(work())


def test_what_is_no_http_is_tried_again(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            hook = await it.hook(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 200)
            await it.do(publish, hook.url, "hear")
            (message,) = await it.settled()
            assert (message.state, message.attempts) == ("delivered", 2)

    run(work())


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server on 127.0.0.1, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now, host = datetime.now(UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([host]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "both.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form) + certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=certificate.decode())


@pytest.mark.parametrize("trusted", [True, False])
def test_a_secret_is_sent_only_to_whose_certificate_is_trusted(
    office: Callable, run: Callable, until: Callable, tmp_path: Path, trusted: bool
) -> None:
    server, client = certified(tmp_path)

    async def work() -> None:
        async with office(context=client if trusted else None) as it:
            hook = await it.hook()
            await hook.stop()
            await hook.start(hook.port, server)
            await it.do(publish, hook.url.replace("http:", "https:"), "hear")
            if trusted:
                assert [one.state for one in await it.settled()] == ["delivered"]
            else:
                await until(lambda: any("not trusted" in one.reason for one in it.messages("waiting")))
                assert hook.seen == []

    run(work())


COURIER = """
import asyncio, sys
from pathlib import Path
from modelwright.clock import SystemClock
from modelwright.serve.notices import Courier, Poster, Sender, open_seal
from modelwright.serve.objects import open_own
from modelwright.serve.service import Ledger
from modelwright.serve.state import State

async def main(folder):
    clock = SystemClock()
    state = State.open(folder / "serve.db", clock)
    objects = await open_own(None, clock, lambda: "id")
    sender = Sender("http://127.0.0.1:1", "us-east-1", open_seal(folder / "seal", clock.now()))
    await Courier(sender, Ledger(state), objects, Poster(private=True), clock).deliver(asyncio.Event())

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_courier_that_is_killed_amid_its_work_loses_nothing_and_keeps_the_order(
    new_hook: Callable, run: Callable, until: Callable, tmp_path: Path
) -> None:
    lines, each, kills = 6, 12, 3

    async def work() -> None:
        hook = await new_hook().start()
        with contextlib.closing(State.open(tmp_path / "serve.db")) as state:
            for number in range(lines * each):
                state.submit(publish, hook.url, f"{number % lines} {number}", f"line {number % lines}").result()
        for kill in range(kills + 1):
            process = subprocess.Popen([sys.executable, "-c", COURIER, str(tmp_path)])
            try:
                if kill < kills:
                    goal = len(hook.seen) + lines * 2
                    hook.answers = ["hang" if number % 7 == 6 else 200 for number in range(200)]
                    await until(lambda goal=goal: len(hook.seen) >= goal)
                else:
                    hook.answers = []
                    await until(lambda: len({one.body for one in hook.seen}) == lines * each)
            finally:
                os.kill(process.pid, signal.SIGKILL)
                await asyncio.to_thread(process.wait)
        heard = [one.json["data"]["message"].split() for one in hook.seen]
        assert {int(number) for _, number in heard} == set(range(lines * each)), "nothing is lost"
        for line in range(lines):
            of_line = [int(number) for name, number in heard if int(name) == line]
            assert of_line == sorted(of_line), "each in its order, however often it came"
        await hook.stop()

    run(work())


def furnish(state: State, error_topic: str) -> None:
    settings = EndpointSettings("s3://out/out", error_topic=error_topic, include_response_in=("error",))
    for change, given in (
        (create_model, (ModelRecord("model"),)),
        (create_configuration, (ConfigurationRecord("made", (VariantRecord("main", "model"),), settings),)),
        (create_endpoint, ("summarizer", "made")),
        (set_status, ("summarizer", "InService")),
    ):
        state.submit(change, *given).result()


def test_who_looks_for_a_request_that_ended_by_itself_finds_an_account_before_anybody_is_told(
    office: Callable, run: Callable
) -> None:
    async def work() -> None:
        async with office() as it:
            await it.objects.create_bucket("out")
            hook = await it.hook()
            furnish(it.state, hook.url)
            places = [*(f"s3://out/{name}-error.out" for name in "abc"), "s3://none/d-error.out", ""]
            for name, place in zip("abcde", places, strict=True):
                asked = Invocation("summarizer", name, "s3://out/in", failure_location=place, ttl_s=1e-6)
                await it.do(accept, asked if name != "c" else msgspec.structs.replace(asked, ttl_s=60.0))
            await it.objects.put("out", "b-error.out", b"what an attempt left", About("text/plain"))
            await it.do(sweep)
            await it.do(cancel, "summarizer", "c")
            told = await it.settled()
            assert sorted(one.state for one in told) == [*["delivered"] * 8, "undelivered"]
            (lost,) = (one for one in told if one.state == "undelivered")
            assert lost.receiver == "s3://none/d-error.out"
            said = {one.json["data"]["inferenceId"]: one.json["data"] for one in hook.seen}
            assert said.keys() == set("abcde"), "a store without the bucket keeps no message back"
            for name, state in (("a", "expired"), ("c", "cancelled")):
                found = await it.objects.get("out", f"{name}-error.out")
                account = json.loads(await found.read())
                assert (account["inferenceId"], account["state"]) == (name, state)
                assert account["failureReason"]
                included = said[name]["responseBody"]
                assert json.loads(included["content"]) == account
            found = await it.objects.get("out", "b-error.out")
            assert await found.read() == b"what an attempt left"

    run(work())
