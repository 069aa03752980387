"""The PLC's side of the Modbus handshake: what the Structured Text example does, for the simulators."""

from collections import deque

from firmware_bridge.errors import MessageMalformed
from firmware_bridge.events import Event, HelloReceived, PeerBack, PeerLost, Undelivered
from firmware_bridge.messages import ActiveAlarms, BeltPosition, Changeover, Hello, Message, Role, Trigger
from firmware_bridge.modbus.handshake import ENABLED, READY, Pulse
from firmware_bridge.modbus.register_map import ALARMS, BELT, CONTROL, MAP_VERSION, RESULT, STATUS, Block, read_result
from firmware_bridge.sequence import following
from firmware_bridge.timing import Timing

_TRIGGERS_WAITING = 64


class PlcHandshake:
    """See Handshake."""

    mine: tuple[Block, ...] = (CONTROL, BELT)
    theirs: tuple[Block, ...] = (RESULT, STATUS, ALARMS)

    def __init__(self, timing: Timing, now: float) -> None:
        """Begin disabled."""
        self._pulse, self._timing = Pulse(timing, now), timing
        self._enable = False
        self._open = False
        self._now = now
        self._triggers: deque[tuple[float, Trigger]] = deque()  # with the time at which each came
        self._trigger, self._trigger_at, self._echoed = Trigger(0, 0), now, True
        self._sequence = self._ack = self._recipe = 0
        self._belt, self._alarms = BeltPosition(0), ActiveAlarms()
        self.malformed = 0

    @property
    def is_open(self) -> bool:
        """See Handshake."""
        return self._open

    def image(self, block: Block) -> list[int]:
        """See Handshake."""
        if block is BELT:
            return block.pack({"belt_encoder": self._belt.encoder, "arrived": self._belt.arrived})
        # The age runs until the station has taken the trigger, so that a write that comes late says so.
        trigger = self._trigger if self._echoed else self._trigger.aged(self._now - self._trigger_at)
        return block.pack(
            {
                "plc_heartbeat": self._pulse.count,
                "enable": MAP_VERSION if self._enable else 0,
                "part_id": trigger.part_id,
                "encoder": trigger.encoder,
                "recipe": self._recipe,
                "ack_sequence": self._ack,
                "age_ms": trigger.age_ms,
                "trigger_flags": trigger.flags,
                "trigger_sequence": self._sequence,
            }
        )

    def take(self, values: dict[str, dict[str, int]], now: float) -> list[Event]:
        """See Handshake."""
        self._now = now
        status = values["status"]
        self._pulse.hear(status["edge_heartbeat"], now)
        if self._open and status["state"] != ENABLED:
            return self._close("the station has restarted")
        if not self._open:
            return self._rise(status["state"])
        events = self._taken(values) + self._heard(values)
        self._echoed = status["trigger_echo"] == self._sequence
        if self._triggers and self._echoed:
            self._announce()
        return events

    def _is_silent(self, now: float) -> bool:
        return self._pulse.silent_s(now) >= self._timing.silence_s

    def _rise(self, state: int) -> list[Event]:
        """Go through the steps to being open, or back where the station wants that."""
        if self._enable and state == ENABLED:
            self._open, self._echoed = True, True
            return [HelloReceived(Hello(Role.EDGE, "modbus"), restarted=False)]
        self._enable = state == READY
        return []

    def _taken(self, values: dict[str, dict[str, int]]) -> list[Event]:
        if values["status"]["result_sequence"] == self._ack:
            return []
        try:
            result = read_result(values["result"])
        except MessageMalformed:
            self.malformed += 1
            return []
        self._ack = values["status"]["result_sequence"]
        return [result]

    def _heard(self, values: dict[str, dict[str, int]]) -> list[Event]:
        alarms = ActiveAlarms(values.get("alarms", {"alarms": 0})["alarms"])
        changed, self._alarms = alarms != self._alarms, alarms
        return [alarms] if changed else []

    def _announce(self) -> None:
        self._trigger_at, self._trigger = self._triggers.popleft()
        self._recipe = self._trigger.recipe or self._recipe
        self._sequence, self._echoed = following(self._sequence), False

    def send(self, message: Message, now: float) -> list[Event]:
        """See Handshake."""
        if isinstance(message, Changeover):
            self._recipe = message.recipe
        elif isinstance(message, BeltPosition):
            self._belt = message
        elif not isinstance(message, Trigger):
            return [Undelivered(message, "Modbus has no register for this message")]
        elif len(self._triggers) >= _TRIGGERS_WAITING or not self._open:
            return [Undelivered(message, "the station takes no trigger")]
        else:
            self._triggers.append((now, message))
        return []

    def _close(self, reason: str) -> list[Event]:
        given_up: list[Event] = [Undelivered(trigger, reason) for _, trigger in self._triggers]
        self._triggers.clear()
        self._enable = self._open = False
        return given_up

    def tick(self, now: float) -> list[Event]:
        """See Handshake."""
        self._now = now
        events: list[Event] = []
        if self._pulse.tick(now):
            events = [PeerLost(self._pulse.silent_s(now)), *self._close("the station is silent")]
        elif self._pulse.lost and not self._is_silent(now) and self._open:
            self._pulse.lost = False
            events = [PeerBack()]
        while self._triggers and self._triggers[0][0] + self._timing.deliver_s <= now:
            events.append(Undelivered(self._triggers.popleft()[1], "the station did not take the trigger in time"))
        return events

    def next_tick(self) -> float:
        """See Handshake."""
        return min([self._pulse.next_tick(), *(at + self._timing.deliver_s for at, _ in (*self._triggers,)[:1])])
