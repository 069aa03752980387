-- Version 1 of the records. Times after the trigger are in microseconds; areas in pixels of the network's input;
-- boxes in pixels of the frame. Numbers of verdicts: 1 OK, 2 NG, 3 UNSURE, 4 TIMEOUT, 5 FAULT.
CREATE TABLE parts (
    number INTEGER PRIMARY KEY,     -- of the trigger, counted by this station for ever
    time TEXT NOT NULL,             -- of the trigger, UTC, ISO 8601
    part_id INTEGER NOT NULL,       -- the PLC's
    encoder INTEGER NOT NULL,       -- the PLC's
    verdict INTEGER NOT NULL,
    told INTEGER NOT NULL,          -- the verdict that the PLC was told; another one in shadow mode only
    class TEXT,                     -- of the strongest defect, NULL without one
    score REAL,
    area_px REAL,
    fault TEXT NOT NULL,            -- why TIMEOUT or FAULT, else empty
    bundle_id TEXT NOT NULL,
    frame_us INTEGER,               -- from here on: when the stage was done, NULL if it was not reached
    prepared_us INTEGER,
    inferred_us INTEGER,
    decided_us INTEGER,
    recorded_us INTEGER,            -- when the row was handed over
    sent_us INTEGER,
    acknowledged_us INTEGER,
    link TEXT NOT NULL DEFAULT 'open' CHECK (link IN ('open', 'acknowledged', 'undelivered'))
);
CREATE TABLE views (                -- one per camera frame
    part INTEGER NOT NULL REFERENCES parts (number),
    camera TEXT NOT NULL,
    exposure INTEGER NOT NULL,
    source TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    picture TEXT                    -- its file in the folder of pictures, NULL if none was kept; pruned some day
);
CREATE TABLE defects (
    part INTEGER NOT NULL REFERENCES parts (number),
    camera TEXT NOT NULL,
    class TEXT NOT NULL,
    score REAL NOT NULL,
    area_px REAL NOT NULL,
    area_mm2 REAL,                  -- NULL where the camera has no scale
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL
);
CREATE INDEX views_of_part ON views (part);
CREATE INDEX defects_of_part ON defects (part);
PRAGMA user_version = 1;
