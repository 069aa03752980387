"""Progress on the terminal: a bar for the current epoch, one line per complete epoch."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class EpochProgress:
    """Shows throughput and remaining time; without a terminal, only the line per epoch."""

    def __init__(self, epochs: int, done: int, console: Console, clock: Callable[[], float] = time.monotonic):
        self._epochs, self._first = epochs, done
        self._clock = clock
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            console=console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, note="")
        self._began = clock()

    def __enter__(self) -> "EpochProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, epoch: int, images: int) -> None:
        """Start epoch `epoch`, counted from 0, of `images` images."""
        self._epoch, self._images, self._seen, self._epoch_began = epoch, images, 0, self._clock()
        self._bar.reset(self._task, total=images, description=f"epoch {epoch + 1}/{self._epochs}")

    def step(self, images: int, loss: float) -> None:
        """Advance by one batch."""
        self._seen += images
        note = f"{self._speed():.1f} images/s, {self._left()} left, loss {loss:.4f}"
        self._bar.update(self._task, advance=images, note=note)

    def end(self, line: str) -> None:
        """End the epoch and print `line`."""
        self._seen = self._images
        speed = f"{self._clock() - self._epoch_began:.0f} s, {self._left()} left"
        self._bar.console.print(f"epoch {self._epoch + 1}/{self._epochs}: {line} ({speed})", highlight=False)

    def _speed(self) -> float:
        return self._seen / max(self._clock() - self._epoch_began, 1e-9)

    def _left(self) -> str:
        done = self._epoch - self._first + self._seen / self._images
        left = (self._clock() - self._began) / max(done, 1e-9) * (self._epochs - self._first - done)
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"
