"""Route of the page itself and its files."""

from html import escape
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from edge.config.page import PageSettings
from edge.page.gate import COOKIE, READER, VISITOR, Visitor, is_encrypted

STATIC = Path(__file__).parents[1] / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def add_page(app: FastAPI, settings: PageSettings) -> None:
    """Add the page, filled in with its visitor's role, and the files that it names."""
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in KINDS}
    has_roles = bool(settings.users or settings.operator_token or settings.inspector_token)
    if settings.users is not None:
        index = index.replace('href="?token=" data-open="sign-in"', 'href="log-in"')

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        token = request.query_params.get("token")
        if token:  # the gate has checked it, where there is one
            answer: Response = RedirectResponse(".", 303)  # removes the token from the address bar
            set_cookie(answer, request, COOKIE, token, max_age=400 * 86_400)
            return answer
        visitor: Visitor = request.scope[VISITOR]
        role = visitor.role if visitor.role not in (None, READER) or not has_roles else "sign-in"
        facts = {"role": role or READER, "lang": settings.lang or "", "user": visitor.user, "csrf": visitor.csrf}
        filled = " ".join(f'data-{name}="{escape(text or "")}"' for name, text in facts.items())
        return Response(index.replace('data-role="" data-lang=""', filled), media_type="text/html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"no file {name}")
        return Response(files[name].read_bytes(), media_type=KINDS[files[name].suffix])


def set_cookie(answer: Response, request: Request, name: str, value: str, max_age: int | None = None) -> None:
    """Set a cookie for this station's own pages alone, which no script reads."""
    secure = is_encrypted(request.scope)
    answer.set_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")
