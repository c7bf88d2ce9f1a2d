"""AWS Signature Version 4: how requests are signed by those who call, and checked by those who are called.

Pure functions of a request's parts, keys and the time. Source: AWS General Reference, "Create a signed AWS API
request".
"""

from modelwright.serve.signing.canonical import EMPTY, STREAMED, UNSIGNED, Asked
from modelwright.serve.signing.sign import Keys, sign
from modelwright.serve.signing.verify import Signed, claimed, verify

__all__ = ["EMPTY", "STREAMED", "UNSIGNED", "Asked", "Keys", "Signed", "claimed", "sign", "verify"]
