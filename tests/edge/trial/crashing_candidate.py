"""Process of a candidate that opens, then ends at its first part without an answer."""

import sys

from edge.servers.channel import read_messages
from edge.trial.candidate import TrialAnswer, TrialFrames, TrialLine

for message, _ in read_messages(sys.stdin.buffer, TrialLine, TrialFrames):
    if not isinstance(message, TrialLine):
        sys.exit(1)
    print(TrialAnswer(bundle_id="crashes").model_dump_json(), flush=True)
