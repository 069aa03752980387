-- Version 6 of the records: switches of the line's bundle. Rows are only ever added.
CREATE TABLE releases (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- UTC, ISO 8601
    who TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('release', 'rollback')),
    before TEXT NOT NULL,           -- id of the bundle in force before, empty without one
    after TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT ''
);
CREATE TRIGGER releases_stay BEFORE UPDATE ON releases
    BEGIN SELECT RAISE(ABORT, 'releases are not changed, only added'); END;
CREATE TRIGGER releases_are_kept BEFORE DELETE ON releases BEGIN SELECT RAISE(ABORT, 'releases are not deleted'); END;
PRAGMA user_version = 6;
