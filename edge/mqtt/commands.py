"""Commands of the broker's clients: changeover and challenge as the page or the PLC orders them, a step of a rollout.

A payload is `{"id": "...", "recipe": 2}`, `{"id": "...", "who": "...", "reason": "..."}` or `{"id": "..."}`. A repeated
`id` and a retained message are refused: a broker delivers both again.
"""

from collections import deque
from pathlib import Path
from queue import SimpleQueue

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle import first_problem
from edge.config.challenge import ChallengeSettings
from edge.config.schema import ONE_LINE
from edge.errors import OperatorRequestError, RecordsError, ServerError
from edge.forwarding.messages import ForwardingTask
from edge.monitoring.operator_requests import ask_for_rollout_step, begin_challenge
from edge.mqtt.client import MqttMessage
from edge.mqtt.json_messages import JsonTopics

REMEMBERED = 1000
PAYLOAD_BYTES = 4096
EXAMPLES = {
    "changeover": 'JSON such as {"id": "a1", "recipe": 2}',
    "rollout": 'JSON such as {"id": "a3"}',
    "challenge": 'JSON such as {"id": "a2", "who": "Ada", "reason": "shift"}',
}


class RemoteCommand(BaseModel):
    """Payload of a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=100, pattern=ONE_LINE)


class ChangeoverCommand(RemoteCommand):
    """Request of another recipe."""

    recipe: int


class ChallengeCommand(RemoteCommand):
    """Request of a challenge with known bad parts."""

    who: str = Field(min_length=1, max_length=100, pattern=ONE_LINE)
    reason: str = Field(default="", max_length=500, pattern=ONE_LINE)


class RolloutCommand(RemoteCommand):
    """Request of the station's next step of a rollout."""


KINDS: dict[str, type[RemoteCommand]] = {
    "changeover": ChangeoverCommand,
    "challenge": ChallengeCommand,
    "rollout": RolloutCommand,
}


class RemoteCommands:
    """Takes the commands of one station."""

    def __init__(self, task: ForwardingTask, topics: JsonTopics) -> None:
        self.changeovers: SimpleQueue[int] = SimpleQueue()
        """Recipes that were requested."""
        self._records: Path = task.records
        self._challenge: ChallengeSettings = task.challenge
        self._recipes, self._topics = task.recipes, topics
        self._seen: deque[str] = deque(maxlen=REMEMBERED)

    def take(self, message: MqttMessage) -> MqttMessage:
        """Carry a command out, or refuse it; returns the answer."""
        command = message.topic.rpartition("/")[2]
        identity, done, problem = "", "", ""
        try:
            given = self._parse(command, message)
            identity = given.id
            done = self._carry_out(given)
        except (ServerError, OperatorRequestError, RecordsError) as error:
            problem = str(error)
        return self._topics.answer(command, identity, done, problem)

    def _parse(self, command: str, message: MqttMessage) -> RemoteCommand:
        if command not in KINDS:
            raise ServerError(f"command: found {command[:60]!r}, expected one of {', '.join(KINDS)}")
        if message.retain:
            raise ServerError(f"{command}: found a retained message, expected one that is sent once")
        if len(message.payload) > PAYLOAD_BYTES:
            raise ServerError(f"{command}: found {len(message.payload)} bytes, expected at most {PAYLOAD_BYTES}")
        try:
            given = KINDS[command].model_validate_json(message.payload)
        except ValidationError as error:
            if error.errors()[0]["type"] in ("json_invalid", "model_type"):
                shown = message.payload[:60].decode("utf-8", "backslashreplace")
                raise ServerError(f"{command}: found {shown!r}, expected {EXAMPLES[command]}") from None
            raise ServerError(f"{command}: {first_problem(error)}") from None
        if given.id in self._seen:
            raise ServerError(f"{command}: found the id {given.id!r} again, expected a new one")
        self._seen.append(given.id)
        return given

    def _carry_out(self, given: RemoteCommand) -> str:
        if isinstance(given, ChangeoverCommand):
            if given.recipe not in self._recipes:
                known = ", ".join(map(str, sorted(self._recipes))) or "none"
                raise ServerError(f"changeover: found recipe {given.recipe}, expected one of [recipes]: {known}")
            self.changeovers.put(given.recipe)
            return f"recipe {given.recipe} is requested; the topic bundle shows the one in force"
        if isinstance(given, RolloutCommand):
            ask_for_rollout_step(self._records, given.id)
            return "a step is asked for; the units of `edge-inspect rollout timer` take it"
        assert isinstance(given, ChallengeCommand)
        begin_challenge(self._records, self._challenge, given.who, given.reason)
        return f"put {self._challenge.parts} known bad part(s) on the line now, before any other part"
