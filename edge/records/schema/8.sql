-- Version 8 of the records: verdicts of a candidate bundle on trial, beside those of the bundle in force.
CREATE TABLE trials (
    part INTEGER NOT NULL,          -- row in parts, which has the verdict of the bundle in force
    bundle_id TEXT NOT NULL,        -- of the candidate
    verdict INTEGER,                -- NULL: dropped, the candidate was busy
    class TEXT,                     -- of the candidate's strongest defect, NULL without one
    score REAL,
    PRIMARY KEY (part, bundle_id)
) WITHOUT ROWID;
PRAGMA user_version = 8;
