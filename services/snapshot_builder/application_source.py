"""What provisioning says about the application a package is built for."""

import httpx
from pydantic import BaseModel, ConfigDict, Field


class ApplicationSource(BaseModel):
    """`manifest` is the TOML text; `connection` a name, or a URL where those are allowed, and so never shown."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    manifest: str
    connection: str = Field(repr=False)
    area: str | None
    configuration: str
    version: str
    platform: str
    title: str | dict[str, str]

    @property
    def titles(self) -> str:
        """The title in every language it has, one line."""
        return self.title if isinstance(self.title, str) else " / ".join(dict.fromkeys(self.title.values()))


async def read_application(provisioning: httpx.AsyncClient, code: str) -> ApplicationSource:
    """Raises `Problem`: `not_found`, or `service_unavailable` when provisioning does not answer."""
    answer = await provisioning.get(f"/applications/{code}")
    answer.raise_for_status()
    return ApplicationSource.model_validate(answer.json())
