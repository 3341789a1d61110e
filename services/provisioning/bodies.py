"""What comes in and goes out over HTTP, with its limits."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.provisioning.tables import Role
from shared.contracts.provisioning import WorkplaceChanged


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL is not allowed")
    return text


CODE = r"^[a-z0-9][a-z0-9._-]{0,62}$"
LOGIN = r"^[a-z0-9][a-z0-9._@+-]{0,99}$"
Code = Annotated[str, StringConstraints(pattern=CODE)]
Login = Annotated[str, StringConstraints(pattern=LOGIN)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_printable)
]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
Text = Annotated[str, StringConstraints(max_length=2_000_000), AfterValidator(_no_nul)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_nul)]
Logins = Annotated[list[Login], Field(max_length=1000)]
Organisations = Annotated[
    list[Line], Field(min_length=1, max_length=10_000), AfterValidator(lambda keys: list(dict.fromkeys(keys)))
]


class Body(BaseModel):
    """A request: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class SubscriberBody(Body):
    """`PUT /subscribers/{code}`."""

    name: Name


class SubscriberDocument(BaseModel):
    """A subscriber."""

    code: str
    name: str


class SubscribersPage(BaseModel):
    """`next` is the mark to go on `after`, null at the end."""

    items: list[SubscriberDocument]
    next: str | None


class ApplicationBody(Body):
    """`PUT /applications/{code}`. `connection` is a name, or a URL where those are allowed."""

    subscriber: Code
    title: Line | dict[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")], Line]
    manifest: Text
    connection: Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_printable)]
    area: Line | None = None
    configuration: Line
    version: Line
    platform: Line
    organisations_declared: bool
    generation: Line | None = None


class UserDocument(BaseModel):
    """A user of one application."""

    login: str
    full_name: str
    role: Role


class ApplicationDocument(ApplicationBody):
    """The application with its people."""

    code: str
    users: list[UserDocument]


class ApplicationOutline(BaseModel):
    """An application in a list: without its manifest and its people."""

    code: str
    subscriber: str
    title: str | dict[str, str]
    connection: str
    area: str | None
    configuration: str
    version: str
    platform: str
    organisations_declared: bool
    generation: str | None


class ApplicationsPage(BaseModel):
    """`next` is the mark to go on `after`, null at the end."""

    items: list[ApplicationOutline]
    next: str | None


class UserBody(Body):
    """`PUT /applications/{code}/users/{login}`. Without password it stays as it is."""

    full_name: Name
    role: Role
    password: Password | None = None


class AdmittedDocument(UserDocument):
    """`password_changed`: sessions and tokens of the old one are to end."""

    password_changed: bool


class CredentialsBody(Body):
    """`POST /authentications`. A login that cannot exist is simply a wrong one."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_nul)]
    password: Password


class PersonDocument(BaseModel):
    """A person with the role in each of his applications."""

    login: str
    full_name: str
    roles: dict[str, Role]


class WishesBody(Body):
    """`POST /applications/{code}/workplaces`. Null is the same as absent."""

    name: Name | None = None
    users: Logins | None = None
    organisations: Organisations | None = None
    created_by: Login


class ChangesBody(Body):
    """`PATCH /workplaces/{id}`. Absent: stays; `organisations` null: all."""

    name: Name | None = None
    users: Logins | None = None
    organisations: Organisations | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_organisations_may_be_null(cls, body: Any) -> Any:
        if isinstance(body, dict) and any(field in body and body[field] is None for field in ("name", "users")):
            raise ValueError("name and users cannot be null; leave them out to keep them")
        return body


class WorkplacesPage(BaseModel):
    """`next` is the mark to go on `after`, null at the end."""

    items: list[WorkplaceChanged]
    next: str | None
