"""The review dialog of the page, worked by an inspector in a real browser."""

from tests.edge.page.chromium import Tab, text


class ReviewDialog:
    """Dialog of a tab in which the page of an inspector is open."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    def open_queue(self) -> None:
        """Open the queue, the first part of which is shown."""
        self.tab.evaluate("document.querySelector('[data-open=review]').click()")
        self.wait_for_picture()

    def open_found(self, verdict: str) -> None:
        """Search the parts with this verdict and open the review of the latest 50."""
        tab = self.tab
        tab.evaluate("document.querySelector('[data-open=find]').click()")
        tab.evaluate(f"document.querySelector('#find [name=verdict]').value = '{verdict}'")
        tab.evaluate("document.querySelector('#find form').requestSubmit()")
        tab.wait_for("document.querySelector('#find .shown .inspector')")
        tab.evaluate("document.querySelector('#find .shown .inspector').click()")
        self.wait_for_picture()

    def show_part(self, words: str) -> None:
        """Show the part of the list that is named like this."""
        self.tab.evaluate(f"{_entry(words)}.querySelector('button').click()")
        self.tab.wait_for(f"{text('#review .facts')}.startsWith('{words},')")
        self.wait_for_picture()

    def choose_part(self, words: str) -> None:
        """Choose the part of the list that is named like this, to be marked together with others."""
        self.tab.evaluate(f"{_entry(words)}.querySelector('input').click()")

    def close(self) -> None:
        """Close all dialogs."""
        self.tab.evaluate("document.querySelectorAll('dialog[open]').forEach(dialog => dialog.close())")

    def wait_for_picture(self) -> None:
        """Wait until a part is shown with its form."""
        self.tab.wait_for(
            "document.querySelector('#review .board image') && !document.querySelector('#review form').hidden"
        )

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Place in the window of a pixel of the frame."""
        script = f"""(() => {{ const at = new DOMPoint({x}, {y}).matrixTransform(
            document.querySelector('#review .board').getScreenCTM()); return [at.x, at.y] }})()"""
        column, row = self.tab.evaluate(script)
        return column, row

    def choose(self, truth: str) -> None:
        """Choose what the part is."""
        self.tab.evaluate(f"document.querySelector('#review [value={truth}]').click()")

    def fill(self, name: str, words: str) -> None:
        """Fill a field of the form."""
        self.tab.evaluate(f"(e => {{ e.focus(); e.select() }})(document.querySelector('#review [name={name}]'))")
        self.tab.type(words)

    def send(self, parts: int = 1) -> None:
        """Send the form and wait until the marks are written."""
        self.tab.evaluate("document.querySelector('#review .send').click()")
        said = "1 part marked" if parts == 1 else f"{parts} parts marked"
        self.tab.wait_for(f"{text('#review .answer')} === {said!r}")


def _entry(words: str) -> str:
    """Expression for the entry of a part in the list."""
    return (
        "[...document.querySelectorAll('#review ol li')]"
        f".find(item => item.querySelector('button > span').textContent === '{words}')"
    )
