"""The service behind asynchronous and real-time endpoints: it runs instances, deals out requests, and scales.

async with open_service(Site(Path("data")), SystemClock(), ids) as service:
await service.ledger.do(create_endpoint, "summarizer", "configuration")
service.poke()
await service.accept(Invocation("summarizer", "one", "", output_location="s3://answers/one"), b"...")
"""

from modelwright.serve.service.crew import Crew, Member
from modelwright.serve.service.endpoints import Endpoints
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import LOGGER
from modelwright.serve.service.notifying import deliverer, seal_of
from modelwright.serve.service.service import Deliver, Service, open_service
from modelwright.serve.service.site import Site
from modelwright.serve.service.stand import Stand

__all__ = [
    "LOGGER",
    "Crew",
    "Deliver",
    "Endpoints",
    "Ledger",
    "Member",
    "Service",
    "Site",
    "Stand",
    "deliverer",
    "open_service",
    "seal_of",
]
