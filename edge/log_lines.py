"""Lines of the log: JSON for a collector, one plain line a record for a file or systemd's journal."""

import json
import logging
import sys
from datetime import datetime, timezone
from typing import TextIO

from rich.console import Console
from rich.logging import RichHandler

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Priorities of syslog(3), which the journal reads from the beginning of a line, sd-daemon(3)."""


class JsonLines(logging.Formatter):
    """One JSON object per line of the log, with time (UTC), level, logger, thread and message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        shown = {"time": at, "level": record.levelname, "logger": record.name, "thread": record.threadName}
        error = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**shown, "message": record.getMessage(), **error}, ensure_ascii=False)


def printable(text: str) -> str:
    """The text with escapes for characters that are not printable, such as bytes of a name that is not UTF-8."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class PlainLines(logging.Formatter):
    """One line per message, however long; further lines only for the traceback of an exception.

    Characters that are not printable are escaped: a name from outside begins no line of its own.
    """

    def __init__(self, journal: bool) -> None:
        """journal: each line begins with its priority instead of time and level, which the journal keeps itself."""
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        lines = [printable(record.getMessage())]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        if self._journal:
            return "\n".join(f"<{PRIORITIES.get(record.levelno, 6)}>{line}" for line in lines)
        at = datetime.fromtimestamp(record.created).astimezone().isoformat("T", "milliseconds")
        return "\n".join([f"{at} {record.levelname:8} {lines[0]}", *lines[1:]])


def log_handler(journal: bool, stream: TextIO | None = None) -> logging.Handler:
    """Write in colours for a person at a terminal, and in plain lines elsewhere, where nothing is to be wrapped.

    journal: whether systemd has connected the stream to its journal.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        return RichHandler(console=Console(file=stream), show_path=False, log_time_format="%H:%M:%S")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines(journal))
    return handler
