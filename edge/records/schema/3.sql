-- Version 3 of the records: alarms as rows, indices for what reports and the page ask for.
CREATE TABLE alarms (               -- one per alarm, from when it is raised to when it is cleared
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    area TEXT NOT NULL,             -- camera, engine, bundle, disk, link, output, drift, other
    cause TEXT NOT NULL,            -- what was found, expected, what to do
    part_id INTEGER NOT NULL,       -- the PLC's, 0 where it concerns no part
    began TEXT NOT NULL,            -- UTC, ISO 8601
    ended TEXT                      -- UTC, NULL while it is in force, and where the station ended first without a word
);
CREATE INDEX alarms_by_time ON alarms (began);
CREATE INDEX parts_by_time ON parts (time);
CREATE INDEX parts_by_part_id ON parts (part_id);
CREATE INDEX parts_by_verdict ON parts (verdict);
CREATE INDEX parts_by_result ON parts (verdict, class, link);
CREATE INDEX views_with_picture ON views (part, camera, picture) WHERE picture IS NOT NULL;
PRAGMA user_version = 3;
