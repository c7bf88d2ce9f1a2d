"""Models' files are fetched once and shared; inputs come from the store and from web servers, whatever their size."""

import asyncio
import http.server
import io
import ssl
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelwright.clock import SystemClock
from modelwright.errors import InputError, ObjectError, RecordError, SettingError
from modelwright.records import (
    ConfigurationRecord,
    EndpointSettings,
    ModelRecord,
    VariantRecord,
)
from modelwright.serve.objects import OwnObjects, open_own
from modelwright.serve.service.fetching import fetched
from modelwright.serve.service.models import Models
from modelwright.serve.state import ENDPOINTS, create_configuration, create_endpoint, create_model


def archive(**files: str) -> bytes:
    """A model.tar.gz."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/") + ".py")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return held.getvalue()


ECHO = archive(
    code__inference="def model_fn(folder):\n    return None\ndef transform_fn(m, body, c, a):\n    return body\n"
)


async def store(folder: Path) -> OwnObjects:
    objects = await open_own(folder / "objects", SystemClock(), lambda: "u")
    await objects.create_bucket("models")
    return objects


def test_an_archive_is_unpacked_once_for_each_content_and_removed_when_nothing_needs_it(
    run: Any, tmp_path: Path
) -> None:
    async def story() -> None:
        objects = await store(tmp_path)
        models = Models(tmp_path / "unpacked", objects)
        await objects.put("models", "one.tar.gz", archive(a="1"))
        one = ModelRecord("one", "s3://models/one.tar.gz")
        first, again = await asyncio.gather(models.folder(one), models.folder(one))
        assert first == again
        inode = (first / "a.py").stat().st_ino
        assert (await models.folder(one) / "a.py").stat().st_ino == inode
        await objects.put("models", "one.tar.gz", archive(a="2"))
        second = await models.folder(one)
        assert (second / "a.py").read_text() == "2"
        assert (first / "a.py").read_text() == "1"  # whoever serves it serves on
        (tmp_path / "unpacked" / "torn.part").write_bytes(b"what a killed process left")
        await models.keep_only({second})
        assert list((tmp_path / "unpacked").iterdir()) == [second]
        (tmp_path / "here.tar.gz").write_bytes(archive(a="3"))
        here = await models.folder(ModelRecord("here", str(tmp_path / "here.tar.gz")))
        assert (here / "a.py").read_text() == "3"
        assert await models.folder(ModelRecord("folder", str(tmp_path))) == tmp_path
        assert list((await models.folder(ModelRecord("none"))).iterdir()) == []
        objects.close()

    run(story())


def test_what_is_no_model_is_refused_with_the_way_out(run: Any, tmp_path: Path) -> None:
    async def story() -> None:
        objects = await store(tmp_path)
        await objects.put("models", "text", b"hello")
        (tmp_path / "text").write_text("hello")
        for location, error, word in (
            ("s3://models/none", ObjectError, "must exist"),
            ("s3://models/text", RecordError, "whole tar file"),
            (str(tmp_path / "text"), RecordError, "whole tar file"),
            (str(tmp_path / "none"), RecordError, "must be a folder, an archive"),
        ):
            with pytest.raises(error, match=word):
                await Models(tmp_path / "unpacked", objects).folder(ModelRecord("m", location))
        closed = Models(tmp_path / "unpacked", objects, allow_files=False)
        with pytest.raises(SettingError, match="in the object store"):
            await closed.folder(ModelRecord("m", str(tmp_path)))
        assert not list((tmp_path / "unpacked").glob("*"))
        objects.close()

    run(story())


def test_a_model_in_the_store_serves_and_a_missing_one_says_so(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            do, bucket = it.service.ledger.do, it.service.site.buckets[0]
            await it.service.objects.put(bucket, "echo.tar.gz", ECHO)
            for name, key in (("echo", "echo.tar.gz"), ("none", "nowhere.tar.gz")):
                await do(create_model, ModelRecord(name, f"s3://{bucket}/{key}"))
                variants = (VariantRecord("main", name, 1),)
                await do(create_configuration, ConfigurationRecord(name, variants, EndpointSettings("s3://x/y")))
                await do(create_endpoint, name, name)
            it.service.poke()
            await until(lambda: it.status("echo") == "InService")
            ended = await it.end(await it.ask(b"hello", "echo"))
            assert await it.output(ended) == b"hello"
            await until(lambda: it.service.state.read(ENDPOINTS.get, "none").status == "Failed")
            assert "nowhere.tar.gz" in it.service.state.read(ENDPOINTS.get, "none").reason

    run(story())


def test_an_input_that_is_not_there_fails_at_once_and_a_large_one_goes_through(
    bench: Any, run: Any, until: Any
) -> None:
    async def story() -> None:
        async with bench() as it:
            await it.serving()
            bucket = it.service.site.buckets[0]

            async def much() -> Any:
                for number in range(64):
                    yield bytes([number]) * 500_000

            entry = await it.service.objects.put(bucket, "large", much())
            large = await it.without_body(f"s3://{bucket}/large")
            none = await it.without_body(f"s3://{bucket}/none")
            ended = await it.end(none)
            assert (ended.state, ended.attempts) == ("failed", 1)
            assert "must exist" in ended.reason
            assert b"must exist" in await it.output(ended, bad=True)
            ended = await it.end(large)
            assert ended.state == "completed"
            key = large.invocation.output_location.partition(f"{bucket}/")[2]
            assert (await it.service.objects.head(bucket, key)).etag == entry.etag

    run(story())


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    words = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(secret + words)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    return server, ssl.create_default_context(cadata=words.decode())


class Pages(http.server.BaseHTTPRequestHandler):
    """A web server that gives, sends on, and refuses."""

    def do_GET(self) -> None:
        moved = {"/on": "/file", "/away": "http://localhost/file"}.get(self.path)
        status = 302 if moved else {"/file": 200, "/long": 200, "/later": 503}.get(self.path, 404)
        content = b"x" * (101 if self.path == "/long" else 100)
        self.send_response(status)
        if moved:
            self.send_header("Location", moved)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        pass


def test_web_servers_are_asked_over_tls_alone_and_nothing_within_where_that_is_not_allowed(
    run: Any, trusted: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    secure, context = trusted

    async def content(location: str, **settings: Any) -> bytes:
        return b"".join([piece async for piece in fetched(location, 100, **settings)])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"https://localhost:{server.server_port}"
        for path in ("/file", "/on"):
            assert run(content(base + path, private=True, context=context)) == b"x" * 100
        for path, lasting, word in (
            ("/none", True, "404"),
            ("/later", False, "503"),
            ("/long", True, "at most 100"),
            ("/away", True, "302"),
        ):
            with pytest.raises(InputError, match=word) as told:
                run(content(base + path, private=True, context=context))
            assert told.value.lasting == lasting
        with pytest.raises(InputError, match="certificate"):
            run(content(base + "/file", private=True))
        with pytest.raises(InputError, match="not allowed") as told:
            run(content(base + "/file", private=False, context=context))
        assert told.value.lasting
        server.shutdown()
    with pytest.raises(InputError, match="refused") as told:
        run(content(base + "/file", private=True, context=context))
    assert not told.value.lasting
