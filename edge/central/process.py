"""Process of the central records: `python -m edge.central.process`, with a pipe from the station as standard input."""

from edge.central.target import CentralTarget
from edge.forwarding.forwarder import serve

if __name__ == "__main__":
    serve(CentralTarget)
