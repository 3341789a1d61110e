"""What an operator may set for the stack; the services' own settings pass through to them."""

from pathlib import Path

from pydantic import Field, SecretStr

from shared.runtime.settings import Settings


class StackSettings(Settings):
    """Each part that is not named here by a URL is started by the stack itself, with its state under `home`."""

    home: Path = Path(".yurt")
    port: int = Field(default=8080, ge=0, le=65535, description="port of the gateway at 127.0.0.1; 0 takes a free one")
    postgres_url: str | None = Field(default=None, repr=False)
    database_prefix: str = "yurt"
    s3_url: str | None = Field(default=None, repr=False)
    amqp_url: str | None = Field(default=None, repr=False, description="with a broker the services are four processes")
    operator_token: SecretStr | None = None
    public_url: str | None = Field(
        default=None, description="where workplaces reach the gateway, when not its own port"
    )
