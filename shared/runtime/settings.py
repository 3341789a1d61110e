"""Settings from the environment, one small class per concern; read once, in `main.py`."""

from pathlib import Path
from typing import Annotated, TypeVar, overload
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.runtime.problem import Problem
from shared.runtime.silence import SILENCE

PREFIX = "YURT_"


class SettingsInvalid(Exception):
    """Settings are missing or wrong. `mistakes`: all of them at once, one sentence each, without values."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("settings are not valid:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
        self.mistakes = mistakes


class Settings(BaseSettings):
    """A concern's settings; field `postgres_url` is the variable `YURT_POSTGRES_URL`. Errors never show values."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)


class LineSettings(Settings):
    """Lines to PostgreSQL, broker and object store: one on which nothing was heard for `silence` seconds is lost."""

    silence: float = Field(default=SILENCE, ge=1)


class PostgresSettings(LineSettings):
    """The server of the services' own databases; each service has the database `<database_prefix>_<service>` there."""

    postgres_url: str = Field(repr=False)
    database_prefix: str = "yurt"

    @field_validator("postgres_url")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        return _postgresql(url)


class BrokerSettings(LineSettings):
    """`amqp_url` None: events go from outbox to handlers in process. `retry_delays`: seconds, written `1,4,16`."""

    amqp_url: str | None = Field(default=None, repr=False)
    amqp_prefix: str = "yurt"
    prefetch: int = Field(default=8, ge=1)
    retry_delays: Annotated[tuple[float, ...], NoDecode] = (1, 4, 16, 64, 256, 300)

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in {"amqp", "amqps"}:
            raise ValueError("must look like amqp://user:password@host:5672/vhost")
        return url

    @field_validator("retry_delays", mode="before")
    @classmethod
    def _split(cls, delays: object) -> object:
        return delays.split(",") if isinstance(delays, str) else delays


class ObjectSettings(LineSettings):
    """An S3 endpoint: `http(s)://key:secret@host:port/bucket`, key and secret percent-encoded where needed."""

    s3_url: str = Field(repr=False)
    s3_bucket: str | None = None
    s3_region: str = "us-east-1"

    @field_validator("s3_url")
    @classmethod
    def _is_s3(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not (parts.hostname and parts.username and parts.password):
            raise ValueError("must look like https://key:secret@host:port/bucket")
        return url

    @property
    def endpoint(self) -> str:
        """`host` or `host:port`."""
        return self._parts.netloc.rpartition("@")[2]

    @property
    def secure(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def access_key(self) -> str:
        return unquote(self._parts.username or "")

    @property
    def secret_key(self) -> str:
        return unquote(self._parts.password or "")

    @property
    def bucket(self) -> str:
        """`s3_bucket`, else the path of the URL, else `yurt`."""
        return self.s3_bucket or self._parts.path.strip("/") or "yurt"

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.s3_url)


class ServiceSettings(Settings):
    """`service_token` opens the doors between the services. `home`: folder for what a service keeps on disk."""

    service_token: str = Field(repr=False, min_length=16)
    home: Path = Path(".yurt")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)


class TelemetrySettings(Settings):
    """`trace_file`: spans as JSON lines. `otlp_endpoint`: base URL of a collector speaking OTLP over HTTP."""

    trace_file: Path | None = None
    otlp_endpoint: str | None = None


class ConnectionSettings(LineSettings):
    """Application databases by name: `YURT_CONNECTION_<NAME>` is a PostgreSQL URL, name in capitals, `-` as `_`."""

    model_config = SettingsConfigDict(env_nested_delimiter="_", env_nested_max_split=1)

    connection: dict[str, str] = Field(default_factory=dict, repr=False)
    allow_dsn: bool = False

    @field_validator("connection")
    @classmethod
    def _are_postgresql(cls, connections: dict[str, str]) -> dict[str, str]:
        return {name.lower(): _postgresql(url) for name, url in connections.items()}

    def resolve(self, name: str) -> str:
        """The URL behind a name; a URL stands for itself where that is allowed. Else `Problem` `unknown_connection`."""
        url = self.connection.get(name.lower().replace("-", "_"))
        if url is None and self.allow_dsn and urlsplit(name).scheme in {"postgresql", "postgres"}:
            url = name
        if url is None:
            shown = "a URL" if "://" in name else repr(name)
            raise Problem("unknown_connection", f"The service has no connection {shown}: set YURT_CONNECTION_<NAME>.")
        return url


A = TypeVar("A", bound=Settings)
B = TypeVar("B", bound=Settings)
C = TypeVar("C", bound=Settings)
D = TypeVar("D", bound=Settings)
E = TypeVar("E", bound=Settings)
F = TypeVar("F", bound=Settings)


@overload
def load_all(a: type[A], /) -> tuple[A]: ...
@overload
def load_all(a: type[A], b: type[B], /) -> tuple[A, B]: ...
@overload
def load_all(a: type[A], b: type[B], c: type[C], /) -> tuple[A, B, C]: ...
@overload
def load_all(a: type[A], b: type[B], c: type[C], d: type[D], /) -> tuple[A, B, C, D]: ...
@overload
def load_all(a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], /) -> tuple[A, B, C, D, E]: ...
@overload
def load_all(a: type[A], b: type[B], c: type[C], d: type[D], e: type[E], f: type[F], /) -> tuple[A, B, C, D, E, F]: ...
@overload
def load_all(*classes: type[Settings]) -> tuple[Settings, ...]: ...


def load_all(*classes: type[Settings]) -> tuple[Settings, ...]:
    """One instance per class, in order. `SettingsInvalid` names every mistake of every class at once."""
    loaded: list[Settings] = []
    mistakes: list[str] = []
    for settings in classes:
        try:
            loaded.append(settings())
        except ValidationError as error:
            for mistake in error.errors(include_input=False, include_url=False):
                variable = PREFIX + "_".join(str(part) for part in mistake["loc"]).upper()
                mistakes.append(f"{variable}: {mistake['msg'].removeprefix('Value error, ')}")
    if mistakes:
        raise SettingsInvalid(mistakes)
    return tuple(loaded)


def _postgresql(url: str) -> str:
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return url
