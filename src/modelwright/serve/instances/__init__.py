"""Instances: processes that serve a model by the container contract, and the hands that start, call and stop them.

    instance = await start_instance(Launch(folder, record))
    async with instance.invoke(invocation_headers("text/csv"), body, deadline_s=900) as answer:
        async for piece in answer.body: ...
    await instance.drain()
    await instance.stop()

No answer is an `InstanceError`, whose `fate` says why. `ended` wakes whoever waits for it when the process dies.
"""

from modelwright.serve.instances.answering import Answering, invocation_headers
from modelwright.serve.instances.archive import unpack
from modelwright.serve.instances.calls import Call, Handler, Load, Reply
from modelwright.serve.instances.instance import Ending, Instance, Launch
from modelwright.serve.instances.starting import start_instance

__all__ = [
    "Answering",
    "Call",
    "Ending",
    "Handler",
    "Instance",
    "Launch",
    "Load",
    "Reply",
    "invocation_headers",
    "start_instance",
    "unpack",
]
