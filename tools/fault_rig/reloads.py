"""Reloads by SIGHUP with good and bad bundles, each with its outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TOLD_TO_FAIL = ("told to fail", "no engine announces")
"""Messages of the faulty engine; a good bundle is correctly refused while its engine fails."""


@dataclass
class Reload:
    """One SIGHUP."""

    content: str
    """Of line.toml."""
    good: bool
    outcome: str = ""
    """The station's log message."""

    @property
    def accepted(self) -> bool:
        """Whether the station changed to the bundle."""
        return "reload: bundle" in self.outcome

    @property
    def problem(self) -> str:
        """Problem of the outcome; empty if there is none."""
        if not self.outcome:
            return "a SIGHUP was never answered"
        excused = any(words in self.outcome for words in TOLD_TO_FAIL)
        if self.accepted == self.good or (self.good and excused):
            return ""
        return f"a {'good' if self.good else 'bad'} bundle: {self.outcome}"


class Reloads:
    """Sends the next reload after the outcome of the one before."""

    def __init__(self, line: Path, log: Path, signal: Callable[[], None]) -> None:
        self.sent: list[Reload] = []
        self._line, self._log, self._signal = line, log, signal
        self._waiting: list[Reload] = []
        self._read = 0

    def ask(self, content: str, good: bool) -> None:
        """Queue a reload with this line.toml."""
        self._waiting.append(Reload(content, good))

    def tick(self) -> None:
        """Read the outcome of the last reload, then send the next one."""
        if self.answered() and self._waiting:
            self.sent.append(self._waiting.pop(0))
            self._line.write_text(self.sent[-1].content, encoding="utf-8")
            self._signal()

    def answered(self) -> bool:
        """Read the outcome of the last reload; false while there is none. Sends nothing."""
        self._hear()
        return not self.sent or bool(self.sent[-1].outcome)

    def counts(self) -> dict[str, int]:
        """Count the good and bad ones by their outcome."""
        names = {(True, True): "good, taken over", (True, False): "good, refused as the engine was failing just then"}
        names |= {(False, False): "bad, refused", (False, True): "bad, taken over"}
        found = [names[reload.good, reload.accepted] for reload in self.sent if reload.outcome]
        return {name: found.count(name) for name in names.values()}

    def problems(self) -> Sequence[str]:
        """List what is wrong."""
        return [reload.problem for reload in self.sent if reload.problem]

    def _hear(self) -> None:
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._read)
            for line in iter(log.readline, ""):
                if not line.endswith("\n"):
                    break  # the rest comes with the next tick
                self._read = log.tell()
                said = "reload: bundle" in line or "reload refused, " in line
                if said and self.sent and not self.sent[-1].outcome:
                    self.sent[-1].outcome = line.strip()
