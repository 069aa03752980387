"""Page of the log-in and of the token: complete without scripts, in German or English."""

from base64 import b64encode
from hashlib import sha256
from html import escape

STYLE = """body { margin: 8vh auto; padding: 0 20px; max-width: 460px; font: 20px/1.4 system-ui, sans-serif;
  background: #eceff2; color: #14181d; }
h1 { font-size: 30px; } h2 { font-size: 20px; margin-top: 40px; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { margin: 8px 0 18px; padding: 12px; border: 2px solid #5b6673; border-radius: 8px; }
button { background: #14181d; color: #fff; font-weight: 650; cursor: pointer; } .wrong { color: #b4231c; }
@media (prefers-color-scheme: dark) { body { background: #0f1317; color: #e9edf1; } .wrong { color: #ff8f85; }
  input { background: #191f26; color: inherit; } button { background: #e9edf1; color: #14181d; } }"""
LOG_IN_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""Policy of this page, which may load nothing of the station."""
TEXTS = {
    "en": {
        "title": "Log in", "name": "User name", "password": "Password", "open": "Log in", "or": "Or with a token",
        "token": "Token of this station, from [page] in its line.toml", "with_token": "Open",
        "failed": "User name or password is wrong.",
        "locked": "Too many failed log-ins. Wait a quarter of an hour, or ask an engineer.",
        "wrong_token": "This is not the token of this station. After ten wrong ones, wait a minute.",
        "clear": "Passwords are taken over https only. Open this page with https.",
        "stale": "This form was too old. Please try again.",
        "busy": "Too many log-ins at once. Please try again.",
    },
    "de": {
        "title": "Anmelden", "name": "Benutzername", "password": "Passwort", "open": "Anmelden",
        "or": "Oder mit einem Token", "token": "Token dieser Station, aus [page] in ihrer line.toml",
        "with_token": "Öffnen", "failed": "Benutzername oder Passwort ist falsch.",
        "locked": "Zu viele fehlgeschlagene Anmeldungen. Eine Viertelstunde warten oder die Technik fragen.",
        "wrong_token": "Das ist nicht das Token dieser Station. Nach zehn falschen eine Minute warten.",
        "clear": "Passwörter werden nur über https angenommen. Diese Seite mit https öffnen.",
        "stale": "Dieses Formular war zu alt. Bitte noch einmal versuchen.",
        "busy": "Zu viele Anmeldungen zugleich. Bitte noch einmal versuchen.",
    },
}  # fmt: skip
"""Texts by language; the keys are the same in each."""


def language(chosen: str | None, accepted: str) -> str:
    """Return the language that `[page]` chooses, or the first known one of an Accept-Language header."""
    wanted = (one.split(";")[0].strip().lower()[:2] for one in accepted.split(","))
    return chosen or next((one for one in wanted if one in TEXTS), "en")


def log_in_page(lang: str, form: str, problem: str = "", with_token: bool = False) -> str:
    """Page that asks for name and password. `form`: its token. `problem`: key of a text. `with_token`: also for one."""
    texts = TEXTS[lang]
    asks = f"""<form action="log-in" method="post"><input type="hidden" name="form" value="{escape(form)}">
<label for="name">{texts["name"]}</label>
<input id="name" name="name" required maxlength="60" autofocus autocomplete="username">
<label for="password">{texts["password"]}</label>
<input id="password" name="password" type="password" required maxlength="256" autocomplete="current-password">
<button>{texts["open"]}</button></form>"""
    or_token = f"<h2>{texts['or']}</h2>{_token_form(lang)}" if with_token else ""
    return _page(lang, texts["title"], problem, asks + or_token)


def token_page(wrong: bool) -> str:
    """Page that asks for a token."""
    return _page("en", "token", "wrong_token" if wrong else "", _token_form("en", "autofocus"))


def _token_form(lang: str, focus: str = "") -> str:
    texts = TEXTS[lang]
    return f"""<form action="." method="get"><label for="token">{texts["token"]}</label>
<input id="token" name="token" type="password" required {focus} autocomplete="current-password">
<button>{texts["with_token"]}</button></form>"""


def _page(lang: str, title: str, problem: str, content: str) -> str:
    wrong = f'<p class="wrong" role="alert">{TEXTS[lang][problem]}</p>' if problem else ""
    return f"""<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edge-inspect: {title}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body><main>
<h1>edge-inspect</h1>
{wrong}{content}
</main></body></html>
"""
