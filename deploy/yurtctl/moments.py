"""Dates and times as they are typed."""

from datetime import UTC, date, datetime, time

import typer


def day(text: str) -> date:
    """`2026-12-31`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date like 2026-12-31.") from None


def first_moment(text: str) -> datetime:
    """A date (its first moment) or a time of ISO 8601; UTC unless it says otherwise."""
    return _moment(text, time.min)


def last_moment(text: str) -> datetime:
    """A date (its last moment) or a time of ISO 8601; UTC unless it says otherwise."""
    return _moment(text, time.max)


def _moment(text: str, of_the_day: time) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date or time like 2026-12-31 or 2026-12-31T18:00.") from None
    if len(text) <= len("2026-12-31"):
        moment = datetime.combine(moment, of_the_day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
