"""`make demo-loop`: the improvement loop on a virtual line, the marks by a scripted inspector in Chromium.

Where there is no Chromium, the inspector sends the same marks as requests to the page of the station.
"""

import json
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

from edge.config.line import Line
from edge.config.page import PageSettings
from tests.edge.page.chromium import Chromium, Tab, find_chromium
from tests.edge.page.review_dialog import ReviewDialog
from tests.improvement_loop import TOKEN, Opinion, request_of, run_the_loop


def mark_in(browser: Chromium, line: Line, opinions: Sequence[Opinion]) -> None:
    """Outline each miss among the passed parts, then choose all false rejects among the rejected ones."""
    assert line.page is not None
    tab = Tab(browser)
    tab.show(1280, 900)
    shown = "document.documentElement.dataset.condition !== 'silent'"  # by its scripts, which take the presses then
    tab.open(f"http://{line.page.listen}/?token={TOKEN}", shown)
    page = ReviewDialog(tab)
    misses, rejects = ([one for one in opinions if bool(one.class_name) is bad] for bad in (True, False))
    page.open_found("OK")
    for one in misses:
        page.show_part(f"Part {one.part_id}")
        page.choose("defective")
        page.fill("class_name", one.class_name)
        for corner in one.outline:
            tab.click(*page.place(*corner))
        tab.evaluate("document.querySelector('#review .close-outline').click()")
        page.fill("who", "Ada")
        page.send()
    page.close()
    page.open_found("NG")
    for one in rejects:
        page.choose_part(f"Part {one.part_id}")
    page.choose("good")
    page.fill("who", "Ada")
    page.send(len(rejects))
    assert tab.complaints() == []
    tab.close()


def mark_by_requests(line: Line, opinions: Sequence[Opinion]) -> None:
    """Send the marks to the page of the station."""
    assert line.page is not None
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    asked = Request(f"http://{line.page.listen}/api/marks", json.dumps(request_of(opinions)).encode(), headers)
    with urlopen(asked, timeout=60) as answer:
        assert len(json.load(answer)["numbers"]) == len(opinions)


def test_a_person_marks_on_the_page_of_the_running_station(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    page = PageSettings(listen=f"127.0.0.1:{port}", inspector_token=TOKEN)
    (tmp_path / "loop").mkdir()
    program = find_chromium()
    if program is None:
        print("no Chromium on this machine (apt-get install chromium): the marks are sent as requests instead")
        run_the_loop(tmp_path / "loop", mark_by_requests, page)
        return
    browser = Chromium(program, tmp_path / "profile")
    try:
        run_the_loop(tmp_path / "loop", lambda line, opinions: mark_in(browser, line, opinions), page)
    finally:
        browser.close()
