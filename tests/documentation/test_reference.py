"""The reference names every key and command that the code has."""

import re

import pytest
import typer

from edge.central.feed import CentralFeed
from edge.config.line import Line
from edge.mqtt.feed import MqttFeed
from edge.opcua.feed import OpcUaFeed
from edge.page.feed import Feed as PageFeed
from edge.s3.feed import PictureFeed
from edge.servers.process_feed import ProcessFeed
from tests.test_rooms import ROOT
from tools.documentation.reference import PROGRAMS, pages
from train.recipe import Recipe

PAGES = pages()


def test_every_key_of_a_line_is_on_its_page() -> None:
    for key in Line.model_fields:
        assert re.search(rf"^\[*{key}\]*:", PAGES["line.md"], re.MULTILINE), key


def test_every_key_of_a_recipe_is_a_row_with_its_meaning() -> None:
    assert "| `loss.share` | `0.5` | Weight of the classification term in a constant schedule. |" in PAGES["recipe.md"]
    for key, field in Recipe.model_fields.items():
        assert f"| `{key}` |" in PAGES["recipe.md"] or f"## [{key}]" in PAGES["recipe.md"], key
        assert "PydanticUndefined" not in PAGES["recipe.md"], field


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_command_of_a_program_has_a_heading(name: str) -> None:
    command = typer.main.get_command(PROGRAMS[name])
    for inner in getattr(command, "commands", {}):
        assert f"`{name} {inner}`" in PAGES[f"{name}.md"]


def test_every_page_of_the_documentation_is_in_the_navigation() -> None:
    navigation = (ROOT / "tools" / "documentation" / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"\S+\.md", navigation))
    assert named == {
        *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
        *(f"reference/{name}" for name in PAGES),
        *("README.md", "CHANGELOG.md", "train/RESULTS.md", "train/LOG.md", "firmware_bridge/device/README.md"),
        *(f"firmware_bridge/{name}.md" for name in ("PROTOCOL", "MODBUS", "SIGNALS")),
    }


def test_the_german_guide_has_the_alarms_and_sections_of_the_english_one() -> None:
    english, german = (
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("operation.md", "operation.de.md")
    )
    alarms = re.compile(r"^\| (`[^|]+`) \| ([A-Z]{3,}) \|", re.MULTILINE)
    assert len(alarms.findall(english)) > 25
    assert alarms.findall(german) == alarms.findall(english)
    assert len(re.findall(r"^##", german, re.MULTILINE)) == len(re.findall(r"^##", english, re.MULTILINE))


@pytest.mark.parametrize("feed", [CentralFeed, MqttFeed, OpcUaFeed, PageFeed, PictureFeed], ids=lambda feed: feed.alarm)
def test_the_alarm_of_each_process_is_in_the_operator_s_guide(feed: type[ProcessFeed]) -> None:
    assert f"`{feed.alarm}`" in (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
