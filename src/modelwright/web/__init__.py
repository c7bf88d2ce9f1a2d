"""Pages that are live over HTTP: on which people review what a guard deferred, and on which a service is watched."""

from modelwright.web.access import Access
from modelwright.web.review import review_app
from modelwright.web.server import access_for, serve

__all__ = ["Access", "access_for", "review_app", "serve"]
