"""Inference loop: inspects parts in the order in which their frames are complete."""

import queue
from collections import deque
from collections.abc import Callable

from bundle import Verdict
from edge.cameras.camera import Clock
from edge.part import Outcome, Part
from edge.pipeline.inspector import Inspector

UnderWay = tuple[Part, Callable[[], Outcome]]
"""Part under inspection, with the function that waits for its outcome."""


class InferenceLoop:
    """Keeps as many parts under inspection as the engine has slots; parts past their deadline are TIMEOUT.

    `run` is the body of a thread, the only one that uses the engine; `inbox` takes parts, and None closes it.
    """

    def __init__(
        self, inspector: Inspector, clock: Clock, changed: Callable[[Inspector, int], None], recipe: int = 0
    ) -> None:
        """`changed` is called with the new inspector and its recipe number after a changeover."""
        self.inspector = inspector
        """The inspector in use."""
        self.recipe = recipe
        """Recipe number of its bundle; 0 if it has none."""
        self.inbox: queue.SimpleQueue[Part | tuple[Inspector, int] | None] = queue.SimpleQueue()
        self._clock, self._changed = clock, changed
        self._under_way: deque[UnderWay] = deque()

    def use(self, inspector: Inspector, recipe: int) -> None:
        """Change over to another inspector after the parts that are in the inbox now."""
        self.inbox.put((inspector, recipe))

    def run(self) -> None:
        """Inspect until the inbox is closed."""
        while True:
            try:
                item = self.inbox.get(block=not self._under_way)
            except queue.Empty:
                self._finish()
                continue
            if isinstance(item, Part):
                self._begin(item)
                continue
            self._finish_all()
            if item is None:
                return
            self._change_over(*item)

    def _begin(self, part: Part) -> None:
        if len(self._under_way) == self.inspector.engine.slots:
            self._finish()
        if part.settled:
            return
        if part.wanted_recipe not in (0, self.recipe):
            found = f"found recipe {self.recipe} in use, expected {part.wanted_recipe} as in the trigger"
            part.settle_as(Verdict.FAULT, found)
            return
        part.recipe = self.recipe
        try:
            self._under_way.append((part, self.inspector.begin(part)))
        except Exception as error:  # the outermost loop: any error is a FAULT of this part
            part.settle_error(error)
        if self.inspector.engine.slots == 1:
            self._finish_all()

    def _finish(self) -> None:
        part, outcome_of = self._under_way.popleft()
        try:
            outcome = outcome_of()
        except Exception as error:  # as above
            part.settle_error(error)
            return
        if self._clock() < part.deadline:
            part.settle(outcome)
        else:
            part.settle_late()

    def _finish_all(self) -> None:
        while self._under_way:
            self._finish()

    def _change_over(self, inspector: Inspector, recipe: int) -> None:
        before, self.inspector, self.recipe = self.inspector, inspector, recipe
        before.engine.close()
        self._changed(inspector, recipe)
