"""What a client did that the protocol does not allow."""

from typing import Any


class ProtocolProblem(Exception):
    """Answered as a problem document with `code`, `status` and the members of `extra`. Nothing was changed."""

    def __init__(self, code: str, status: int, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.extra = extra
