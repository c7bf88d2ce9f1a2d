"""What a service tells as it goes: one event a line, with fields, through the standard library's logging."""

import logging

LOGGER = logging.getLogger("modelwright.serve")


def tell(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Log an event; `fields` become those of its line, such as inference_id. Never hand secrets or bodies over."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": fields})


def warn(event: str, **fields: object) -> None:
    """The same, of what somebody should look at."""
    tell(event, logging.WARNING, **fields)
