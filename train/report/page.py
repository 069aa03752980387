"""Self-contained HTML pages: no script, no external file, printable."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: .5rem 0 1.5rem }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem; text-align: right }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; image-rendering: pixelated }
figure { display: inline-block; margin: .3rem; width: 10rem } figure img { width: 100% } figcaption { font-size: 75% }
pre { background: #f6f6f6; padding: 1rem; overflow: auto }
.bad { color: #a40000 } .good { color: #1b6e1b }
.line { display: inline-block; min-width: 16rem; border-bottom: 1px solid #1a1a1a; margin: 2rem 2rem 0 0 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A complete page; `parts` are HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading, <h2> by default."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, coloured by its kind "good" or "bad"."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(columns: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """A table; floats with four digits, None as a dash."""
    head = "".join(f"<th>{escape(_cell(column))}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def picture(png: bytes, text: str) -> str:
    """A picture with its caption below."""
    return f"<p>{_image(png, text)}<br>{escape(text)}</p>"


def thumbnail(png: bytes, text: str) -> str:
    """A small picture with its caption; several stand side by side."""
    return f"<figure>{_image(png, text)}<figcaption>{escape(text)}</figcaption></figure>"


def preformatted(text: str) -> str:
    """Text with its own line breaks."""
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, text: str) -> str:
    """Text with its own line breaks, shown once its summary is opened."""
    return f"<details><summary>{escape(summary)}</summary>{preformatted(text)}</details>"


def signatures(names: Iterable[str]) -> str:
    """Lines to sign on."""
    return "".join(f'<p><span class="line"></span><br>{escape(name)}</p>' for name in names)


def _image(png: bytes, text: str) -> str:
    return f'<img src="data:image/png;base64,{b64encode(png).decode()}" alt="{escape(text)}">'


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
