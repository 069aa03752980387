"""Feed of the MQTT client: its process, and the alarm `MQTT`."""

from edge.config.line import Line
from edge.config.mqtt import MqttSettings
from edge.forwarding.feed import ForwardingFeed
from edge.forwarding.messages import ForwardingTask
from edge.servers.process_feed import check_packages


class MqttFeed(ForwardingFeed):
    """Runs and updates the MQTT client."""

    table, alarm, module = "mqtt", "MQTT", "edge.mqtt.process"

    def _check(self) -> None:
        check_paho()


def mqtt_task(line: Line, settings: MqttSettings) -> ForwardingTask:
    """Return the task of the MQTT client of a line."""
    return ForwardingTask(
        settings=settings.model_dump_json(),
        records=line.records.resolve(),
        challenge=line.challenge,
        recipes=tuple(line.recipes),
    )


def check_paho() -> None:
    """Check that the package of the client is installed; raises ServerError."""
    check_packages(("paho",), "mqtt")
