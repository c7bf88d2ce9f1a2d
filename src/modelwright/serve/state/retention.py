"""What is over is forgotten after a while, little by little."""

from sqlalchemy import delete, exists, func, select

from modelwright.serve.state.schema import METRICS, OUTBOX, REQUESTS, in_state
from modelwright.serve.state.unit import Unit

METRICS_KEPT_S = 15 * 86_400.0
"""CloudWatch's own time for values of a minute, seconds."""


def clean_up(unit: Unit, limit: int = 500, metrics_kept_s: float = METRICS_KEPT_S) -> int:
    """Forget finished requests and settled messages whose time has passed, and old metrics.

    A request of which a message still tells somebody is kept until that is settled. Metrics bear the wall clock's time;
    one that was set forward makes none of them old, since the line of time has its word, too.

    Args:
        unit: of work.
        limit: so many requests and so many messages at most; the next call goes on.
        metrics_kept_s: how long metrics are kept, seconds.

    Returns:
        How many rows were forgotten.
    """
    telling = exists().where(OUTBOX.c.request == REQUESTS.c.id, in_state(OUTBOX, "waiting"))
    over = select(REQUESTS.c.id).where(REQUESTS.c.keep_t <= unit.t, ~telling).order_by(REQUESTS.c.keep_t).limit(limit)
    settled = select(OUTBOX.c.id).where(OUTBOX.c.keep_t <= unit.t).order_by(OUTBOX.c.keep_t).limit(limit)
    gone = 0
    for table, ask in ((REQUESTS, over), (OUTBOX, settled)):
        numbers = list(unit.connection.execute(ask.with_for_update(skip_locked=True, of=table)).scalars())
        gone += unit.connection.execute(delete(table).where(table.c.id.in_(numbers))).rowcount if numbers else 0
    before = min(unit.t, unit.at) - metrics_kept_s
    oldest = unit.connection.execute(select(func.min(METRICS.c.at))).scalar()
    if oldest is not None and oldest < before:
        gone += unit.connection.execute(delete(METRICS).where(METRICS.c.at < before)).rowcount
    return gone
