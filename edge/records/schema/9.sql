-- Version 9 of the records: log-ins and changes of users; what a trial said at a release. Rows are only ever added.
CREATE TABLE accesses (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- UTC, ISO 8601
    event TEXT NOT NULL CHECK (event IN ('log-in', 'failure', 'lock-out', 'log-out', 'user added', 'user removed',
        'password changed', 'role changed')),
    who TEXT NOT NULL,              -- the user; empty for a name that is no user's
    address TEXT NOT NULL,          -- of the browser; empty at the station's own command line
    detail TEXT NOT NULL
);
CREATE TRIGGER accesses_stay BEFORE UPDATE ON accesses
    BEGIN SELECT RAISE(ABORT, 'accesses are not changed, only added'); END;
CREATE TRIGGER accesses_are_kept BEFORE DELETE ON accesses BEGIN SELECT RAISE(ABORT, 'accesses are not deleted'); END;
ALTER TABLE releases ADD COLUMN trial TEXT NOT NULL DEFAULT ''; -- JSON, see edge/reports/trial.py; empty without one
PRAGMA user_version = 9;
