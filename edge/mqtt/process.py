"""Process of the MQTT client: `python -m edge.mqtt.process`, with a pipe from the station as standard input."""

from edge.forwarding.forwarder import serve
from edge.mqtt.target import MqttTarget

if __name__ == "__main__":
    serve(MqttTarget)
