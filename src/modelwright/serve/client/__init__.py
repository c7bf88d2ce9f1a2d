"""A client of a running service, for commands and scripts: AWS's protocols, and what the service tells besides."""

from modelwright.serve.client.client import Client
from modelwright.serve.client.deploying import Deployment, Scaled, deploy
from modelwright.serve.client.invoking import Invoked, invoke

__all__ = ["Client", "Deployment", "Invoked", "Scaled", "deploy", "invoke"]
