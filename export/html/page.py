"""Small HTML pages that stand alone: no script, no other file, fit to be printed."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: .5rem 0 1.5rem }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem; text-align: right }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; image-rendering: pixelated }
.bad { color: #a40000 } .good { color: #1b6e1b }
.line { display: inline-block; min-width: 16rem; border-bottom: 1px solid #1a1a1a; margin: 2rem 2rem 0 0 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML already."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(text: str) -> str:
    """A heading of a part."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of kind "good" or "bad" where it is one."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; floats with four digits, None as a dash."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def picture(png: bytes, text: str) -> str:
    """A picture with what it shows."""
    source = b64encode(png).decode()
    return f'<p><img src="data:image/png;base64,{source}" alt="{escape(text)}"><br>{escape(text)}</p>'


def signatures(names: Iterable[str]) -> str:
    """Lines to sign on."""
    return "".join(f'<p><span class="line"></span><br>{escape(name)}</p>' for name in names)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
