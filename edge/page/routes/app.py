"""ASGI application of the page: all routes, behind the gate."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from edge.access.audit import AccessLog
from edge.access.log_in import LogIn
from edge.access.sessions import Sessions
from edge.access.users import UserFile
from edge.config.page import PageSettings
from edge.page.gate import AccessGate
from edge.page.log_in_form import LogInForm
from edge.page.operator_actions import OperatorActions
from edge.page.page_model import PageModel
from edge.page.picture_inspection import PictureInspector
from edge.page.routes.actions import add_actions, add_inspection
from edge.page.routes.events import Notifier, add_events
from edge.page.routes.figures import add_figures
from edge.page.routes.log_in import add_log_in, add_log_out
from edge.page.routes.page import add_page
from edge.page.routes.review import add_review
from edge.page.state import PageProblem

_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "A body that is no JSON", "model": PageProblem},
    401: {"description": "No token of the station", **_TEXT},
    403: {"description": "Not the role's token, or a page of another site", **_TEXT},
    404: {"description": "No such part or picture", "model": PageProblem},
    411: {"description": "A body of unknown length", **_TEXT},
    413: {"description": "A body that is too long", **_TEXT},
    421: {"description": "Another name in the Host header", **_TEXT},
    422: {"description": "A value that is not as described", "model": PageProblem},
    429: {"description": "Too many wrong tokens", **_TEXT},
    503: {"description": "The records or the station do not answer", "model": PageProblem},
}
"""Answers of the gate and of the routes besides those of the routes themselves, for the OpenAPI document."""
_bearer = HTTPBearer(auto_error=False, description="The `token` of `[page]` in line.toml, where there is one.")


def make_app(
    model: PageModel, inspector: PictureInspector | None = None, clock: Callable[[], float] = monotonic
) -> AccessGate:
    """Make the ASGI application over the page model, behind its gate; reading alone needs no operator's token."""
    notifier, settings = Notifier(), model.welcome.settings
    model.changed = notifier.ring
    app = FastAPI(
        title=settings.title,
        description="State of a running station of edge-inspect. GET routes are read only; POST routes need the "
        "`operator_token` of `[page]` in line.toml, marks the `inspector_token`; with a cookie also X-CSRF-Token.",
        docs_url=None,  # its scripts come from the internet, which a line cannot reach
        redoc_url=None,
        redirect_slashes=False,  # to an address made of the request's Host header and undecoded query
        dependencies=[Depends(_bearer)],  # for the OpenAPI document; the gate checks it
        responses=_REFUSALS,
    )
    sessions, form = sessions_of(settings, clock), None
    if sessions is not None:
        log_in = LogIn(sessions.file, AccessLog(Path(model.welcome.records), clock), clock)
        form = LogInForm(log_in, sessions, settings.lang, has_tokens(settings))
        add_log_in(app, form)
    add_log_out(app, form)
    add_page(app, settings)
    add_figures(app, model)
    add_review(app, model)
    add_events(app, model, notifier)
    add_actions(app, OperatorActions(model.welcome))
    if settings.inspect:
        add_inspection(app, model, inspector or PictureInspector())
    return AccessGate(
        app,
        settings.token,
        settings.hosts,
        clock,
        operator_token=settings.operator_token,
        inspector_token=settings.inspector_token,
        sessions=sessions,
        needs_log_in=settings.needs_log_in,
    )


def sessions_of(settings: PageSettings, clock: Callable[[], float]) -> Sessions | None:
    """Return the sessions of the page's users; None where there are none."""
    if settings.users is None:
        return None
    return Sessions(UserFile(settings.users), settings.idle_minutes * 60, settings.session_hours * 3600, clock)


def has_tokens(settings: PageSettings) -> bool:
    """Whether there is a token to be typed."""
    return any((settings.token, settings.operator_token, settings.inspector_token))
