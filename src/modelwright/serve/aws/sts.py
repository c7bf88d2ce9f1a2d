"""sts: who the caller is."""

from modelwright.errors import RefusedError
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.forms import query_reply
from modelwright.serve.service import Service

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def answer(service: Service, request: Request, fields: dict[str, str], key: str) -> Reply:
    """Answer one request.

    Raises:
        RefusedError: it is none of ours.
    """
    if fields.get("Action") != "GetCallerIdentity":
        raise RefusedError("InvalidAction", "the action must be GetCallerIdentity", value=fields.get("Action", ""))
    account = service.site.account
    content = {"Arn": f"arn:aws:iam::{account}:user/{key or 'local'}", "UserId": key or "local", "Account": account}
    return query_reply("GetCallerIdentity", content, request.id, _NAMESPACE)
