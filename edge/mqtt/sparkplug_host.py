"""State of the primary host application, for which rows wait at the station.

Sparkplug 3.0.0: STATE in section 6.4.29, tck-id-message-flow-edge-node-birth-publish-phid-wait and -phid-offline.
"""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.mqtt.client import MqttMessage


class HostState(BaseModel):
    """Payload of STATE."""

    model_config = ConfigDict(frozen=True, strict=True)

    online: bool
    timestamp: int = Field(ge=0)
    """UTC, milliseconds since 1970."""


class PrimaryHost:
    """State of the host by its last STATE message on one connection to the broker."""

    def __init__(self, name: str) -> None:
        self.topic = f"spBv1.0/STATE/{name}"
        """Topic of its state, to subscribe to; retained."""
        self.is_online = False
        self._online_at = 0

    def begin(self) -> None:
        """Forget what an earlier connection has heard."""
        self.is_online, self._online_at = False, 0

    def take(self, message: MqttMessage) -> None:
        """Take a message of its topic; an offline state older than the online one is that of an earlier session."""
        try:
            state = HostState.model_validate_json(message.payload)
        except ValidationError:
            return  # of a client that speaks something else on this topic
        if state.online:
            self.is_online, self._online_at = True, state.timestamp
        elif state.timestamp >= self._online_at:
            self.is_online = False
