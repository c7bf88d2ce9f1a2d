"""What a service signs its messages with: a key with a certificate of its own, and a secret for webhooks.

All of it is made at the first start and kept in a folder that only the service's user can read.
"""

import base64
import hmac
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from modelwright.errors import StoreError
from modelwright.records import write_whole

CERTIFICATE_PATH = "/-/sns/certificate.pem"
"""Where the service answers with the certificate, by which receivers check signatures."""

_BITS = 2048
_VALID = timedelta(days=3650)
_EARLIER = timedelta(days=1)  # of a clock that is behind ours
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}


@final
@dataclass(frozen=True)
class Seal:
    """Signs.

    Attributes:
        certificate: in PEM.
    """

    certificate: bytes
    _key: rsa.RSAPrivateKey = field(repr=False)
    _secret: bytes = field(repr=False)

    def sign(self, text: str, version: Literal["1", "2"]) -> str:
        """The signature of a text by RSA with PKCS #1 v1.5, in Base64: version 1 of SHA-1, version 2 of SHA-256."""
        return base64.b64encode(self._key.sign(text.encode(), padding.PKCS1v15(), _HASHES[version]())).decode()

    def webhook_secret(self, receiver: str) -> bytes:
        """The secret that is shared with a receiver for which none was named: always the same one."""
        return hmac.digest(self._secret, receiver.encode(), "sha256")


def open_seal(folder: Path, now: datetime) -> Seal:
    """The seal that is kept in a folder; a new one where there is none.

    Args:
        folder: of the service's own; made if there is none.
        now: in UTC, from when a new certificate is valid for ten years.

    Raises:
        StoreError: the folder cannot be read or written, or holds something else.
    """
    key_file, certificate_file, secret_file = (folder / name for name in ("key.pem", "certificate.pem", "secret"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not secret_file.exists():  # written last: with it, all is there
            key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
            pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            _write(key_file, key.private_bytes(*pem))
            _write(certificate_file, _certificate(key, now).public_bytes(serialization.Encoding.PEM))
            _write(secret_file, secrets.token_bytes(32))
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate, secret = certificate_file.read_bytes(), secret_file.read_bytes()
    except (OSError, ValueError) as failure:
        way_out = "Remove the folder to have a new key made; receivers will then have to be told new secrets."
        raise StoreError(f"a key must be kept here ({failure})", where=str(folder), way_out=way_out) from failure
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise StoreError("the key must be an RSA key", where=str(key_file), value=type(loaded).__name__)
    return Seal(certificate, loaded, secret)


def _certificate(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "modelwright")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - _EARLIER).not_valid_after(now + _VALID)
    return made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def _write(path: Path, content: bytes) -> None:
    before = os.umask(0o077)
    try:
        write_whole(path, content)
    finally:
        os.umask(before)
