"""Log-in by name and password: lock-out, the same work for every answer, a row for each attempt."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from time import monotonic

from edge.access.audit import AccessLog
from edge.access.failures import FailureLimit
from edge.access.passwords import LONGEST, is_password, normal
from edge.access.users import LONGEST_NAME, User, UserFile
from edge.errors import AccessError

BY_BOTH, BY_ADDRESS, BY_NAME = (5, 15 * 60.0), (20, 15 * 60.0), (50, 3600.0)
"""Failures in a time in seconds after which a name from an address, an address, and a name are locked out."""


class LockedOut(AccessError):
    """Too many failures: the password is not looked at, and the answer is the same for every name."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed log-ins, expected none for {wait_s / 60:.0f} minutes; wait")


class LogIn:
    """Checks names and passwords; not for two threads at a time."""

    def __init__(self, file: UserFile, accesses: AccessLog, clock: Callable[[], float] = monotonic) -> None:
        self._file, self.accesses = file, accesses
        limits = (("both", BY_BOTH), ("address", BY_ADDRESS), ("name", BY_NAME))
        self._limits = {key: FailureLimit(most, window_s, clock) for key, (most, window_s) in limits}

    def attempt(self, name: str, password: str, address: str) -> User | None:
        """Return the user whose name and password these are, None where they are not; raises LockedOut, AccessError."""
        name = normal(name)
        place = _place(address)
        keys = {"both": f"{place} {name}", "address": place, "name": name}
        reached = [limit for kind, limit in self._limits.items() if limit.is_reached(keys[kind])]
        if reached:
            raise LockedOut(max(limit.window_s for limit in reached))
        user = self._file.users().get(name)
        is_right = is_password(user.password if user else None, password) and len(password) <= LONGEST
        if is_right and user is not None and len(name) <= LONGEST_NAME:
            self.accesses.note("log-in", name, address, user.role)
            self._limits["both"].forget(keys["both"])
            return user
        known = name if user is not None else ""  # a password that was typed as the name is not to be kept
        self.accesses.note_failure("failure", known, address)
        for kind, limit in self._limits.items():
            limit.note(keys[kind])
        if any(limit.is_reached(keys[kind]) for kind, limit in self._limits.items()):
            self.accesses.note_failure("lock-out", known, address)
        return None


def _place(address: str) -> str:
    """Return the address, or of IPv6 the network of 64 bit, all of which one computer may use."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else address
