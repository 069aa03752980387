"""Process of a server in tests: it takes what it is told, and does what the first line says."""

import os
import signal
import sys


def main() -> None:
    """Answer each line, hang, or complain."""
    task = sys.stdin.buffer.readline().strip().decode()
    if task == "hang":
        signal.pause()
    print("the certificate is wrong" if task == "complain" else os.getpid(), flush=True)
    for _ in sys.stdin.buffer:
        print(flush=True)


if __name__ == "__main__":
    main()
