"""The inspection station's side of the Modbus handshake."""

from collections import deque

from firmware_bridge.events import Acknowledged, Event, HelloReceived, PeerBack, PeerLost, Refused, Undelivered
from firmware_bridge.messages import (
    AGE_UNKNOWN,
    ActiveAlarms,
    BeltPosition,
    Changeover,
    Fault,
    FaultCode,
    Hello,
    Message,
    Offline,
    Result,
    Role,
    Trigger,
    Verdict,
)
from firmware_bridge.modbus.handshake import DISABLED, ENABLED, READY, Pulse
from firmware_bridge.modbus.register_map import ALARMS, BELT, CONTROL, MAP_VERSION, RESULT, STATUS, Block, result_values
from firmware_bridge.sequence import following
from firmware_bridge.timing import Timing

BUFFER = 8
"""Results that wait for the PLC, the one that is shown included, as smart cameras have."""

_FORMER_PARTS = 1024


class StationHandshake:
    """The inspection station's side."""

    mine: tuple[Block, ...] = (RESULT, ALARMS, STATUS)

    def __init__(self, hello: Hello, timing: Timing, now: float, belt: bool = True, shadow: bool = False) -> None:
        """Begin in state 0: the PLC must show that it has noticed. `belt`: whether the PLC has the belt block."""
        self.theirs: tuple[Block, ...] = (CONTROL, BELT) if belt else (CONTROL,)
        self._belt, self._belt_beat = BeltPosition(0), 0
        self._pulse, self._timing = Pulse(timing, now), timing
        self._state, self._met = DISABLED, False
        self._results: deque[Result] = deque()  # the first one is shown
        self._shown_at = now
        self._values = {"bundle_active": int(hello.bundle_id[:8] or "0", 16), "map_version": MAP_VERSION}
        self._shadow, self._refused = shadow, MAP_VERSION
        self._sequence = self._trigger_echo = self._recipe = 0
        self._overrun = self._offline = False
        self._suspended_until = now
        self._alarms = 0
        self._triggers = self._overruns = 0
        self._open_parts: dict[tuple[int, int], None] = {}
        self._former_parts: dict[tuple[int, int], None] = {}

    @property
    def is_open(self) -> bool:
        """See Handshake."""
        return self._state == ENABLED

    def image(self, block: Block) -> list[int]:
        """See Handshake."""
        if block is RESULT:
            return block.pack(result_values(self._results[0]) if self._results else {"verdict_inverted": 0xFFFF})
        if block is ALARMS:
            return block.pack({"alarms": self._alarms})
        return block.pack(
            self._values
            | {
                "edge_heartbeat": self._pulse.count,
                "state": self._state,
                "status": self._status_bits(),
                "trigger_echo": self._trigger_echo,
                "waiting": max(0, len(self._results) - 1),
                "triggers": self._triggers % 2**32,
                "overruns": self._overruns % 2**16,
                "result_sequence": self._sequence,
            }
        )

    def _status_bits(self) -> int:
        shown = self._results[0] if self._results else None
        bits = (
            not self._offline,
            self.is_open and len(self._results) < BUFFER,
            bool(self._open_parts),
            self._sequence & 1,
            shown is not None,
            shown is not None and shown.verdict is Verdict.OK,
            shown is not None and shown.verdict is not Verdict.OK,
            bool(self._values.get("fault")),
            self._overrun,
            self._shadow,
        )
        return sum(1 << place for place, bit in enumerate(bits) if bit)

    def take(self, values: dict[str, dict[str, int]], now: float) -> list[Event]:
        """See Handshake."""
        control = values["control"]
        self._pulse.hear(control["plc_heartbeat"], now)
        if control["command"] & 1:
            self._overrun, self._values["fault"] = False, 0
        if not control["enable"]:
            events = self._disable("the PLC has disabled the inspection") if self.is_open else []
            self._state = DISABLED if self._offline or now < self._suspended_until else READY
            self._trigger_echo = control["trigger_sequence"]
            return events
        if control["enable"] != MAP_VERSION:
            return self._refuse(control["enable"])
        if self._state == READY:
            return self._enable(control)
        return self._at_work(control, now) + self._read_belt(values) if self.is_open else []

    def suspend(self, until: float, reason: str) -> list[Event]:
        """Stay out of work until a time, whatever the PLC writes."""
        events = self._disable(reason) if self.is_open else []
        self._state, self._suspended_until = DISABLED, until
        return events

    def _refuse(self, version: int) -> list[Event]:
        """Take nothing from a PLC whose program was written for another register map."""
        events: list[Event] = self._disable("the PLC uses another register map") if self.is_open else []
        first_time, self._refused = version != self._refused, version
        reason = f"the PLC writes {version} to enable, expected {MAP_VERSION}, the version of the register map here; "
        reason += "bring its program up to MODBUS.md"
        return [*events, Refused(Hello(Role.PLC, "modbus"), reason)] if first_time else events

    def _enable(self, control: dict[str, int]) -> list[Event]:
        self._state, self._sequence, self._refused = ENABLED, control["ack_sequence"], MAP_VERSION
        if self._values.get("fault") == FaultCode.LINK:
            self._values["fault"] = 0  # of the time before the two had met
        events: list[Event] = [HelloReceived(Hello(Role.PLC, "modbus"), restarted=self._met)]
        events += [PeerBack()] if self._pulse.lost else []
        self._met, self._pulse.lost = True, False
        return events

    def _at_work(self, control: dict[str, int], now: float) -> list[Event]:
        """Take what is new; the recipe before the trigger that comes with it."""
        events: list[Event] = []
        if control["recipe"] != self._recipe:
            self._recipe = control["recipe"]
            events += [Changeover(self._recipe)] if self._recipe else []
        if control["trigger_sequence"] != self._trigger_echo:
            self._trigger_echo = control["trigger_sequence"]
            self._triggers += 1
            self._open_parts[control["part_id"], control["encoder"]] = None
            announced = {name: control[name] for name in ("part_id", "encoder", "age_ms", "recipe")}
            events.append(Trigger(**announced, flags=control["trigger_flags"] & AGE_UNKNOWN))
        if self._results and control["ack_sequence"] == self._sequence:
            events.append(Acknowledged(self._results.popleft()))
            self._show(now)
        return events

    def _read_belt(self, values: dict[str, dict[str, int]]) -> list[Event]:
        """Tell where the belt is whenever the PLC shows that it lives, once it has written that at all."""
        block, beat = values.get("belt", {"belt_encoder": 0, "arrived": 0}), values["control"]["plc_heartbeat"]
        before = self._belt, self._belt_beat
        self._belt, self._belt_beat = BeltPosition(block["belt_encoder"], block["arrived"]), beat
        return [self._belt] if self._belt != BeltPosition(0) and (self._belt, beat) != before else []

    def _show(self, now: float) -> None:
        if self._results:
            self._sequence, self._shown_at = following(self._sequence), now

    def send(self, message: Message, now: float) -> list[Event]:
        """See Handshake; faults, alarms, recipes and leaving the line become registers."""
        if isinstance(message, Result):
            return self._send_result(message, now)
        if isinstance(message, Fault):
            self._values["fault"] = message.code
        elif isinstance(message, Changeover):
            self._values["recipe_active"] = message.recipe
            self._values["bundle_active"] = int(message.bundle_id[:8] or "0", 16)
        elif isinstance(message, ActiveAlarms):
            self._alarms = message.active
        elif isinstance(message, Offline):
            self._offline = True
            return self._disable("the station has gone off line")
        else:
            return [Undelivered(message, "Modbus has no register for this message")]
        return []

    def _send_result(self, result: Result, now: float) -> list[Event]:
        part = (result.part_id, result.encoder)
        self._open_parts.pop(part, None)
        if part in self._former_parts:
            del self._former_parts[part]
            return [Undelivered(result, "the PLC has restarted since it triggered this part")]
        if not self.is_open:
            return [Undelivered(result, "the PLC is not there")]
        if len(self._results) >= BUFFER:
            self._overrun, self._overruns = True, self._overruns + 1
            return [Undelivered(result, "the PLC has not taken the last 8 results")]
        self._results.append(result)
        if len(self._results) == 1:
            self._show(now)
        return []

    def _disable(self, reason: str) -> list[Event]:
        given_up: list[Event] = [Undelivered(result, reason) for result in self._results]
        self._results.clear()
        self._former_parts |= self._open_parts
        self._former_parts = dict.fromkeys(list(self._former_parts)[-_FORMER_PARTS:])
        self._open_parts.clear()
        self._state = DISABLED
        return given_up

    def tick(self, now: float) -> list[Event]:
        """See Handshake."""
        events: list[Event] = []
        if self._pulse.tick(now):
            events = [PeerLost(self._pulse.silent_s(now)), *self._disable("the PLC is silent")]
        if self._results and now >= self._shown_at + self._timing.deliver_s:
            events += self._disable("the PLC does not acknowledge")
        return events

    def next_tick(self) -> float:
        """See Handshake."""
        due = self._pulse.next_tick()
        return min(due, self._shown_at + self._timing.deliver_s) if self._results else due
