"""The internal door of provisioning."""

from collections.abc import AsyncIterator
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning import bodies
from services.provisioning.admit_user import Admission, admit_user, dismiss_user
from services.provisioning.applications import find_application, members, roles
from services.provisioning.attach_application import Attachment, attach_application, remove_application
from services.provisioning.authenticate_user import authenticate_user
from services.provisioning.change_workplace import Changes, change_workplace
from services.provisioning.delete_workplace import delete_workplace
from services.provisioning.list_applications import list_applications
from services.provisioning.list_subscribers import list_subscribers
from services.provisioning.list_workplaces import list_workplaces
from services.provisioning.register_subscriber import register_subscriber
from services.provisioning.request_package import request_package
from services.provisioning.request_workplace import Wishes, request_workplace
from services.provisioning.suspend_workplace import resume_workplace, suspend_workplace
from services.provisioning.tables import Application, Subscriber, User
from services.provisioning.workplaces import document, find
from shared.contracts.provisioning import WorkplaceChanged
from shared.runtime.problem import Problem

Code = Annotated[str, Path(pattern=bodies.CODE)]
Login = Annotated[str, Path(pattern=bodies.LOGIN)]
Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(max_length=100)]


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction per request, committed before the answer leaves."""
    async with request.app.state.sessions.begin() as session:
        yield session


Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
router = APIRouter()


@router.put("/subscribers/{code}")
async def put_subscriber(
    code: Code, body: bodies.SubscriberBody, session: Transaction, response: Response
) -> bodies.SubscriberDocument:
    """Register (201) or rename (200)."""
    subscriber, new = await register_subscriber(session, code, body.name)
    response.status_code = 201 if new else 200
    return bodies.SubscriberDocument(code=subscriber.code, name=subscriber.name)


@router.get("/subscribers/{code}")
async def get_subscriber(code: Code, session: Transaction) -> bodies.SubscriberDocument:
    """The subscriber; 404 `not_found`."""
    subscriber = await session.get(Subscriber, code)
    if subscriber is None:
        raise Problem("not_found", f"There is no subscriber {code}.")
    return bodies.SubscriberDocument(code=subscriber.code, name=subscriber.name)


@router.get("/subscribers")
async def get_subscribers(session: Transaction, limit: Limit = 50, after: After = None) -> bodies.SubscribersPage:
    """All subscribers, by code."""
    items, following = await list_subscribers(session, limit, after)
    return bodies.SubscribersPage.model_validate({"items": items, "next": following}, from_attributes=True)


@router.put("/applications/{code}")
async def put_application(
    code: Code, body: bodies.ApplicationBody, session: Transaction, response: Response
) -> bodies.ApplicationDocument:
    """Attach (201) or change (200)."""
    application, new = await attach_application(session, code, Attachment(**body.model_dump()))
    response.status_code = 201 if new else 200
    return await _application(session, application)


@router.get("/applications")
async def get_applications(session: Transaction, limit: Limit = 50, after: After = None) -> bodies.ApplicationsPage:
    """All attached applications, by code, without manifest and people."""
    items, following = await list_applications(session, limit, after)
    return bodies.ApplicationsPage.model_validate({"items": items, "next": following}, from_attributes=True)


@router.get("/applications/{code}")
async def get_application(code: Code, session: Transaction) -> bodies.ApplicationDocument:
    """The application with its manifest, its connection's name and its people; 404 `not_found`."""
    return await _application(session, await find_application(session, code))


@router.delete("/applications/{code}", status_code=204)
async def delete_application(code: Code, session: Transaction) -> None:
    """End it with all its workplaces."""
    await remove_application(session, code)


@router.put("/applications/{code}/users/{login}")
async def put_user(
    code: Code, login: Login, body: bodies.UserBody, session: Transaction, request: Request, response: Response
) -> bodies.AdmittedDocument:
    """Give a role (201) or change it (200); 409 `login_taken`."""
    admission = Admission(body.full_name, body.role, body.password)
    admitted = await admit_user(session, request.app.state.passwords, code, login, admission)
    response.status_code = 201 if admitted.new else 200
    return bodies.AdmittedDocument.model_validate(admitted, from_attributes=True)


@router.delete("/applications/{code}/users/{login}", status_code=204)
async def delete_user(code: Code, login: Login, session: Transaction) -> None:
    """Take the role away."""
    await dismiss_user(session, code, login)


@router.post("/authentications")
async def post_authentication(body: bodies.CredentialsBody, request: Request) -> bodies.PersonDocument:
    """The person whose login and password these are; 401 `wrong_credentials`, 429 `too_many_attempts`."""
    state = request.app.state
    user = await authenticate_user(state.sessions, state.passwords, state.attempt_rules, body.login, body.password)
    async with state.sessions() as session:
        return await _person(session, user)


@router.get("/users/{login}")
async def get_user(login: Login, session: Transaction) -> bodies.PersonDocument:
    """The person with his roles; 404 `not_found`."""
    user = await session.get(User, login)
    if user is None:
        raise Problem("not_found", f"There is no user {login}.")
    return await _person(session, user)


@router.post("/applications/{code}/workplaces", status_code=202)
async def post_workplace(
    code: Code,
    body: bodies.WishesBody,
    session: Transaction,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> WorkplaceChanged:
    """Create a workplace; the same `Idempotency-Key` again answers with the same workplace."""
    organisations = tuple(body.organisations) if body.organisations is not None else None
    wishes = Wishes(body.created_by, body.name, tuple(body.users or ()), organisations)
    return await request_workplace(session, code, wishes, idempotency_key)


@router.get("/applications/{code}/workplaces")
async def get_workplaces(
    code: Code, session: Transaction, limit: Limit = 50, after: After = None
) -> bodies.WorkplacesPage:
    """The workplaces of an application, oldest first, without deleted ones."""
    items, following = await list_workplaces(session, code, limit, after)
    return bodies.WorkplacesPage(items=items, next=following)


@router.get("/workplaces/{workplace}")
async def get_workplace(workplace: UUID, session: Transaction) -> WorkplaceChanged:
    """The workplace, also a deleted one; 404 `not_found`."""
    return document(await find(session, workplace))


@router.patch("/workplaces/{workplace}")
async def patch_workplace(workplace: UUID, body: bodies.ChangesBody, session: Transaction) -> WorkplaceChanged:
    """Change the name, the people or the organisations."""
    given = body.model_dump(include=body.model_fields_set)
    return await change_workplace(session, workplace, cast("Changes", given))


@router.delete("/workplaces/{workplace}")
async def end_workplace(workplace: UUID, session: Transaction) -> WorkplaceChanged:
    """End it for ever; its seat is given back."""
    return await delete_workplace(session, workplace)


@router.post("/workplaces/{workplace}/suspend")
async def post_suspend(workplace: UUID, session: Transaction) -> WorkplaceChanged:
    """Stop it for a while."""
    return await suspend_workplace(session, workplace)


@router.post("/workplaces/{workplace}/resume")
async def post_resume(workplace: UUID, session: Transaction) -> WorkplaceChanged:
    """Let it go on."""
    return await resume_workplace(session, workplace)


@router.post("/workplaces/{workplace}/reissue", status_code=202)
@router.post("/workplaces/{workplace}/package", status_code=202)
async def post_package(workplace: UUID, session: Transaction) -> WorkplaceChanged:
    """Order a new package. What else a reissue means is the gateway's: it ends tokens."""
    return await request_package(session, workplace)


async def _application(session: AsyncSession, application: Application) -> bodies.ApplicationDocument:
    people = await members(session, application.code)
    users = [{"login": user.login, "full_name": user.full_name, "role": member.role} for user, member in people]
    known = application.model_dump(exclude={"workplaces_numbered", "removed_at"})
    return bodies.ApplicationDocument.model_validate(known | {"users": users})


async def _person(session: AsyncSession, user: User) -> bodies.PersonDocument:
    held = {"roles": await roles(session, user.login)}
    return bodies.PersonDocument.model_validate({"login": user.login, "full_name": user.full_name, **held})
