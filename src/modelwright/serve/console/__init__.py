"""What a service tells and is told besides AWS's protocols, below "/-/": status, requests, metrics, draining."""

from modelwright.serve.console.app import console

__all__ = ["console"]
