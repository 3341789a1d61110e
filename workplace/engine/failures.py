"""What can go wrong, each with a code; `workplace.texts` has the sentence for the person who must act."""

from typing import Any


class Failure(Exception):
    """Something a person must hear of. `code` names the sentence, `detail` adds what is particular."""

    def __init__(self, code: str, detail: str = "", **extra: Any) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.extra = extra


class NoConnection(Failure):
    """The service was not reached: `no_connection`, `timeout`, `certificate`, `proxy`. Trying later is right."""


class ServiceRefused(Failure):
    """The service answered with an error: the code of its problem document, or `http_<status>` when it sent none."""

    def __init__(self, code: str, detail: str, *, status: int, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(code, detail, **extra)
        self.status = status
        self.retry_after = retry_after

    @property
    def on_the_way(self) -> bool:
        """Whether a gateway before the service said so, whatever its words: it may be asked again at once."""
        return self.status in {502, 504} or self.code == "http_503"


class UnexpectedAnswer(Failure):
    """An answer that is none of the protocol (a captive portal, a damaged delta). Nothing was applied."""


class ReplicaUnusable(Failure):
    """The replica is missing, damaged, locked by another program or not a workplace at all."""


class Busy(Failure):
    """Another program is synchronising this replica now."""


class Cancelled(Failure):
    """A person stopped the exchange; what was done stays done, the rest waits for the next one."""


class WrongValue(Failure):
    """A value typed by a person does not fit its column. `extra["column"]` says which."""
