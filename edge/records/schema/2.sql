-- Version 2 of the records: what became of rejected parts, challenges with known bad parts, acknowledged alarms.
CREATE TABLE challenges (           -- one per challenge
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- when it was asked for, UTC, ISO 8601
    who TEXT NOT NULL,              -- asked for it
    parts INTEGER NOT NULL,         -- known bad parts that have to be found
    class TEXT,                     -- that each of them has to have, NULL for any
    ended TEXT,                     -- UTC, NULL before
    result TEXT NOT NULL DEFAULT 'asked' CHECK (result IN ('asked', 'open', 'passed', 'failed', 'abandoned')),
    found TEXT NOT NULL DEFAULT ''  -- verdict and class of each part
);
CREATE TABLE acknowledgements (     -- one per acknowledgement of the alarms
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- UTC, ISO 8601
    who TEXT NOT NULL,
    alarms TEXT                     -- that were ended by it, NULL until the station has taken notice
);
ALTER TABLE parts ADD COLUMN challenge INTEGER REFERENCES challenges (number); -- NULL for all parts but known bad ones
ALTER TABLE parts ADD COLUMN ejection TEXT  -- NULL where the part was passed, or where it is unknown
    CHECK (ejection IN ('ejected', 'escaped', 'confirmed', 'unconfirmed'));
PRAGMA user_version = 2;
