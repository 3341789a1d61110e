"""Parameters of lists."""

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(max_length=300, pattern="^[ -~]*$")]
DEFAULT_LIMIT = 50
