"""Routes by which users log in and out."""

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from edge.errors import AccessError
from edge.page.gate import COOKIE, LOG_IN, LOG_OUT, VISITOR, form_cookie, is_encrypted, session_cookie
from edge.page.log_in_form import FormAnswer, LogInForm, Sent
from edge.page.log_in_page import LOG_IN_POLICY
from edge.page.routes.page import set_cookie


def add_log_in(app: FastAPI, form: LogInForm) -> None:
    """Add the routes by which users log in and out."""

    def answer_of(request: Request, found: FormAnswer) -> Response:
        if found.session:
            answer: Response = RedirectResponse(".", 303)
            set_cookie(answer, request, session_cookie(request.scope), found.session)
            return answer
        # A form is sent with its Origin only where the policy lets its page tell where it comes from.
        headers = {"Content-Security-Policy": LOG_IN_POLICY, "Referrer-Policy": "same-origin"}
        answer = Response(found.page, found.status, headers, "text/html")
        set_cookie(answer, request, form_cookie(request.scope), found.form)
        return answer

    @app.get(LOG_IN, include_in_schema=False)
    async def ask(request: Request) -> Response:
        problem = "wrong_token" if "wrong-token" in request.query_params else ""
        return answer_of(request, form.show(request.headers.get("accept-language", ""), problem))

    @app.post(LOG_IN, include_in_schema=False)
    async def take(request: Request) -> Response:
        sent = Sent(
            await request.body(),
            request.cookies.get(form_cookie(request.scope), ""),
            request.cookies.get(session_cookie(request.scope), ""),
            is_encrypted(request.scope),
            request.client.host if request.client else "",
            request.headers.get("accept-language", ""),
        )
        try:
            return answer_of(request, await form.take(sent))
        except AccessError as error:
            raise HTTPException(503, str(error)) from None


def add_log_out(app: FastAPI, form: LogInForm | None) -> None:
    """Add the route that ends a session, or forgets a token; `form`: of the users, where there are any."""

    @app.post(LOG_OUT, include_in_schema=False)
    async def log_out(request: Request) -> Response:
        answer, visitor = Response(status_code=204), request.scope[VISITOR]
        for name in (session_cookie(request.scope), COOKIE):
            answer.delete_cookie(name, secure=is_encrypted(request.scope), httponly=True, samesite="strict")
        if form is not None and visitor.user is not None:
            cookie = request.cookies.get(session_cookie(request.scope), "")
            form.end(cookie, visitor.user, request.client.host if request.client else "")
        return answer
