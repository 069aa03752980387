"""The station's process: `edge-inspect run` with a camera and an engine that fail on command, and a witness.

python -m tools.trial.station FOLDER
"""

import logging
import sys
from functools import partial
from pathlib import Path

from edge.line import load_line
from edge.service import serve
from edge.station import Equipment, open_station
from tools.trial.camera import open_trial_camera
from tools.trial.engine import open_trial_engine
from tools.trial.places import Places
from tools.trial.switches import Switches
from tools.trial.witness import Witness


def main(folder: Path) -> None:
    """Serve the line of a trial until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    places = Places(folder)
    switches, witness = Switches(places.switches), Witness(places.witness)
    equipment = Equipment(
        partial(open_trial_camera, places.sensor, switches, witness), partial(open_trial_engine, switches, witness)
    )
    line = load_line(places.line)
    with open_station(line, witness.reported, equipment=equipment) as runtime:
        serve(places.line, line, runtime, equipment)
    witness.note(heard=runtime.triggers)
    witness.close()
    sys.exit(runtime.failure is not None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
