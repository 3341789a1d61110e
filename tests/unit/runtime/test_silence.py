"""What a URL gets so that a line that was cut is noticed."""

import pytest

from shared.runtime.silence import watched, watched_broker

ALL = "connect_timeout=5&keepalives_idle=4&keepalives_interval=4&keepalives_count=3&tcp_user_timeout=15000"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40ss@h/d", f"postgresql://u:p%40ss@h/d?{ALL}"),
        ("postgresql:///d?host=/run/pg", f"postgresql:///d?host=/run/pg&{ALL}"),
        ("postgresql://h/d?connect_timeout=60", f"postgresql://h/d?connect_timeout=60&{ALL.partition('&')[2]}"),
    ],
)
def test_a_connection_is_watched_unless_its_url_says_how(url: str, expected: str) -> None:
    assert watched(url, 15) == expected
    assert watched(expected, 60) == expected


@pytest.mark.parametrize(("seconds", "heartbeat"), [(1, 1), (15, 4), (60, 19)])
def test_a_broker_is_missed_after_three_heartbeats_and_three_seconds(seconds: float, heartbeat: int) -> None:
    assert watched_broker("amqp://u:p@h/v", seconds) == f"amqp://u:p@h/v?heartbeat={heartbeat}"
    assert watched_broker("amqp://h?heartbeat=60", seconds) == "amqp://h?heartbeat=60"
