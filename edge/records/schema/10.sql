-- Version 10 of the records: outlines of a candidate that disagrees; requests to start or stop a trial; marks on the
-- random sample. Marks, releases and accesses cannot be replaced either: REPLACE deletes a row without the triggers of a deletion.
ALTER TABLE trials ADD COLUMN outlines TEXT; -- JSON, [{camera, class_name, score, polygon}, ...] in pixels of the frame
CREATE TABLE trial_requests (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- UTC, ISO 8601
    who TEXT NOT NULL,
    bundle TEXT NOT NULL,           -- folder of the candidate to be tried; empty: stop the trial
    taken TEXT                      -- UTC time at which the station took it; NULL before
);
ALTER TABLE marks ADD COLUMN sampled INTEGER NOT NULL DEFAULT 0; -- 1: a passed part that the queue drew at random
CREATE TRIGGER marks_are_new BEFORE INSERT ON marks
    WHEN EXISTS (SELECT 1 FROM marks WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'marks are not changed, only added'); END;
CREATE TRIGGER marked_defects_are_new BEFORE INSERT ON marked_defects
    WHEN EXISTS (SELECT 1 FROM marked_defects WHERE rowid = NEW.rowid)
    BEGIN SELECT RAISE(ABORT, 'marks are not changed, only added'); END;
CREATE TRIGGER releases_are_new BEFORE INSERT ON releases
    WHEN EXISTS (SELECT 1 FROM releases WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'releases are not changed, only added'); END;
CREATE TRIGGER accesses_are_new BEFORE INSERT ON accesses
    WHEN EXISTS (SELECT 1 FROM accesses WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'accesses are not changed, only added'); END;
PRAGMA user_version = 10;
