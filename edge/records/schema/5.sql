-- Version 5 of the records: pauses by an operator, reasons of challenges and acknowledgements.
CREATE TABLE pauses (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- when it was asked for, UTC, ISO 8601
    who TEXT NOT NULL,
    reason TEXT NOT NULL,
    began TEXT,                     -- when the station took it: every part is FAULT from then on, UTC; NULL before
    end_asked TEXT,                 -- UTC, NULL while it lasts
    end_who TEXT,
    ended TEXT                      -- when the station inspects again, UTC
);
CREATE INDEX open_pauses ON pauses (number) WHERE ended IS NULL;
ALTER TABLE challenges ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE acknowledgements ADD COLUMN reason TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 5;
