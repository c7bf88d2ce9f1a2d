"""What the service knows and never loses: requests, leases, messages on their way, entities, metrics; in one database."""

__all__: list[str] = []
