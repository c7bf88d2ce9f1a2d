"""Plain webhooks, signed as the Standard Webhooks specification says: https://www.standardwebhooks.com, version 1.0.0.

The signed text is "{id}.{seconds since 1970}.{body}"; its HMAC-SHA256 stands in the header as "v1,{Base64}".
"""

import base64
import binascii
import hmac

from modelwright.errors import SettingError

_BEFORE = "whsec_"
_LEAST, _MOST = 24, 64


def webhook_headers(secret: bytes, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent a webhook, and that it is no old one.

    Args:
        secret: that both know.
        message_id: of the message; a repetition keeps it.
        seconds: when it is sent, since 1970 in UTC.
        body: as it is sent.
    """
    signed = f"{message_id}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}


def secret_text(secret: bytes) -> str:
    """A secret as it is handed to people."""
    return _BEFORE + base64.b64encode(secret).decode()


def secret_bytes(text: str) -> bytes:
    """The secret that a text says.

    Raises:
        SettingError: it says none; the value is not shown.
    """
    try:
        secret = base64.b64decode(text.removeprefix(_BEFORE), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_BEFORE) or not _LEAST <= len(secret) <= _MOST:
        way_out = "Leave it out to have one made."
        raise SettingError(
            f"a webhook's secret must be whsec_ and {_LEAST} to {_MOST} bytes in Base64", way_out=way_out
        )
    return secret
