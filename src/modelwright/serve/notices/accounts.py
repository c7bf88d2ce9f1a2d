"""An account at the failure location of a request that ended without an attempt that could leave one.

Clients look for a result or a failure, and would look for ever: requests expire in the queue, are cancelled, or are
dead because the instances or servers that had them ended.
"""

import json

from modelwright.errors import ObjectError
from modelwright.records import Notification
from modelwright.serve.objects import About, Condition, Objects, place_of
from modelwright.serve.state import UNACCOUNTED


def is_account(receiver: str, said: Notification) -> bool:
    """Whether a message is for a request's failure location."""
    return bool(receiver) and receiver == said.invocation.failure_location


async def keep_account(objects: Objects, said: Notification) -> None:
    """Keep one, where that is due and there is none: what an attempt has left says more.

    Raises:
        ObjectError: it cannot be kept, as there is no such bucket.
        StoreError: the store fails.
    """
    location = said.invocation.failure_location
    if not location or said.state not in UNACCOUNTED:
        return
    told = {"failureReason": said.reason, "state": said.state, "inferenceId": said.invocation.inference_id}
    bucket, key = place_of(location)
    try:
        await objects.put(bucket, key, json.dumps(told).encode(), About("application/json"), Condition(absent=True))
    except ObjectError as failure:
        if failure.code != "PreconditionFailed":
            raise
