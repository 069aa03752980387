"""Process of the station: `edge-inspect run` with fault injection in camera and engine, and a witness.

python -m tools.fault_rig.station FOLDER
"""

import logging
import sys
from functools import partial
from pathlib import Path

from edge.config.line import load_line
from edge.service import serve
from edge.station import Equipment, open_station
from tools.fault_rig.equipment.camera import open_faulty_camera
from tools.fault_rig.equipment.engine import open_faulty_engine
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.witness import Witness
from tools.fault_rig.places import Places


def main(folder: Path) -> None:
    """Run the line of a test until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    places = Places(folder)
    switches, witness = Switches(places.switches), Witness(places.witness)
    equipment = Equipment(
        partial(open_faulty_camera, places.sensor, switches, witness), partial(open_faulty_engine, switches, witness)
    )
    line = load_line(places.line)
    with open_station(line, witness.reported, equipment=equipment) as runtime:
        serve(places.line, line, runtime, equipment)
    witness.note(heard=runtime.triggers)
    witness.close()
    sys.exit(runtime.failure is not None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
