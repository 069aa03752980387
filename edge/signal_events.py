"""Signals as events."""

import _thread
import signal
import threading


def reload_on_sighup() -> threading.Event:
    """Set an event at SIGHUP, also before the station serves; its handler stays in force."""
    asked = threading.Event()
    set_on_signal(signal.SIGHUP, asked)
    return asked


def set_on_signal(number: int, event: threading.Event) -> None:
    """Set an event in a thread of its own at each signal.

    A handler runs in the main thread between any two of its instructions, also while that thread holds the event's
    lock: it would wait for itself for ever. `threading.Thread.start` takes such a lock too.
    """
    signal.signal(number, lambda *_: _thread.start_new_thread(event.set, ()))
