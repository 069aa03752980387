-- Version 7 of the records: an index of the known bad parts, which are few among all.
CREATE INDEX parts_of_challenges ON parts (challenge) WHERE challenge IS NOT NULL;
PRAGMA user_version = 7;
