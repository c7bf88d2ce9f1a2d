"""Asynchronous endpoints: a durable queue, instances that come and go with the backlog, answers in an object store."""

__all__: list[str] = []
