"""The live page of a service: backlog, instances and throughput over time, requests, and messages."""

from modelwright.web.serving.pages import serving_pages

__all__ = ["serving_pages"]
