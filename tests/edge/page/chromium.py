"""Headless Chromium under test, driven by the DevTools protocol over a pipe.

Protocol: https://chromedevtools.github.io/devtools-protocol/. With `--remote-debugging-pipe` the browser reads JSON
messages from file descriptor 3 and writes them to 4, each ended by a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

PATIENCE_S = 180.0
"""For each command: on two cores under a load of 20, axe-core took more than 60 s for the page."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--no-default-browser-check", "--force-color-profile=srgb", "--lang=en", "--remote-debugging-pipe",
)  # fmt: skip


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome; None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class ProtocolError(AssertionError):
    """Command of the protocol that the browser refuses."""


class Chromium:
    """A running browser."""

    def __init__(self, program: str, profile: Path) -> None:
        """profile: an empty folder for the browser's files."""
        (read_end, self._commands), (self._answers, write_end) = os.pipe(), os.pipe()
        shell = f'exec "$0" "$@" 3<&{read_end} 4>&{write_end}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_end, write_end),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self._number, self._buffer = 0, b""
        self.events: deque[dict[str, Any]] = deque()
        """Events of all tabs that were not taken yet."""

    def close(self) -> None:
        """End the browser."""
        try:
            self.call("Browser.close")
        finally:
            os.close(self._commands)
            self._process.wait(PATIENCE_S)
            os.close(self._answers)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Run a command of the protocol; its result. An error fails the test."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read(monotonic() + PATIENCE_S)
            if found.get("id") == number:
                if "error" in found:
                    raise ProtocolError(f"{method}: {found['error']}")
                return dict(found["result"])
            if "method" in found:
                self.events.append(found)

    def _read(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - monotonic()))
            assert ready, f"the browser did not answer within {PATIENCE_S:g} s"
            read = os.read(self._answers, 1 << 20)
            assert read, "the browser has ended"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))


class Tab:
    """A page in a tab of its own, with cookies and storage of its own."""

    def __init__(self, browser: Chromium) -> None:
        self._browser = browser
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]
        self._target = browser.call("Target.createTarget", url="about:blank", browserContextId=self._context)[
            "targetId"
        ]
        self._session = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """Close the tab and forget its storage."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def show(self, width: int, height: int, dark: bool = False) -> None:
        """Set the size of the window and the colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def prefer(self, language: str) -> None:
        """Make a language, such as `de-DE`, the first that the browser asks for."""
        agent = self.evaluate("navigator.userAgent")
        self._call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)

    def open(self, address: str, until: str = "document.readyState === 'complete'") -> None:
        """Open an address and wait for a condition, in JavaScript."""
        self._call("Page.navigate", url=address)
        self.wait_for(f"location.href !== 'about:blank' && ({until})")

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression; a promise is awaited."""
        found = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true; a navigation meanwhile does not matter."""
        until = monotonic() + PATIENCE_S
        script = (
            f"new Promise(done => {{ let n = 0; const look = () => (n++ > 40 || (() => {{ try {{ return {condition} }} "
        )
        script += "catch (_) { return false } })()) ? done(n <= 41) : setTimeout(look, 25); look(); })"
        while monotonic() < until:
            with suppress(ProtocolError):  # the page was left meanwhile
                found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
                if found["result"].get("value") is True:
                    return
        raise AssertionError(f"never true: {condition}")

    def press(self, key: str, *modifiers: str) -> None:
        """Press and release a key, such as `Tab`, `Enter`, ` ` or `a`."""
        mask = sum({"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}[name] for name in modifiers)
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                 "ArrowDown": 40, "End": 35, "Home": 36, "PageDown": 34, "Backspace": 8}  # fmt: skip
        named = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper())), "modifiers": mask}
        self._call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **named)
        self._call("Input.dispatchKeyEvent", type="keyUp", **named)

    def type(self, text: str) -> None:
        """Type a text into the field with the focus, once one has it: `autofocus` takes effect after loading."""
        self.wait_for("document.activeElement.matches('input, textarea')")
        self._call("Input.insertText", text=text)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button of the mouse at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def swipe(self, *places: tuple[float, float]) -> None:
        """Put a finger on the first place of the window, move it over the others, take it off."""
        for number, (x, y) in enumerate(places):
            self._call(
                "Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=[{"x": x, "y": y}]
            )
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, path: Path) -> None:
        """Write a screenshot as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def clear_cookies(self) -> None:
        """Forget the cookies of this tab."""
        self._browser.call("Storage.clearCookies", browserContextId=self._context)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console so far, violations of the policy included."""
        self.evaluate("0")  # fetches what is waiting
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            content = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(content["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(content["args"]))
            elif event["method"] == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
                found.append(f"{content['entry']['text']} {content['entry'].get('url', '')}")
        return found

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)


def condition(name: str) -> str:
    """Expression that is true once the page is in this condition."""
    return f"document.documentElement.dataset.condition === '{name}'"


def text(selector: str) -> str:
    """Expression for the text of an element."""
    return f"document.querySelector({json.dumps(selector)}).textContent"


def findings(tab: Tab) -> list[str]:
    """Accessibility faults that axe-core finds on the page, by rule and element; empty without axe-core."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        return []
    tab.evaluate(Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8") + "; 0")
    found = tab.evaluate("axe.run({resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in json.loads(found)
        for node in violation["nodes"]
    ]


def tab_to(tab: Tab, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if tab.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        tab.press("Tab")
    pytest.fail(f"{selector} is not reached by Tab")
