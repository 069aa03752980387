-- Version 4 of the records: what people say of parts. Rows are only ever added; the latest mark of a part counts.
CREATE TABLE marks (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,             -- UTC, ISO 8601
    who TEXT NOT NULL,
    part INTEGER NOT NULL REFERENCES parts (number),
    truth TEXT NOT NULL CHECK (truth IN ('good', 'defective', 'unclear')),
    note TEXT NOT NULL DEFAULT ''
);
CREATE TABLE marked_defects (       -- one per class and camera of a defective part
    mark INTEGER NOT NULL REFERENCES marks (number),
    camera TEXT NOT NULL,
    class TEXT NOT NULL,
    outline TEXT NOT NULL           -- 'none', 'network', or polygons as JSON, [[[x, y], ...], ...] in pixels of the frame
);
CREATE INDEX marks_of_part ON marks (part);
CREATE INDEX defects_of_mark ON marked_defects (mark);
CREATE TRIGGER marks_stay BEFORE UPDATE ON marks BEGIN SELECT RAISE(ABORT, 'marks are not changed, only added'); END;
CREATE TRIGGER marks_are_kept BEFORE DELETE ON marks BEGIN SELECT RAISE(ABORT, 'marks are not deleted'); END;
CREATE TRIGGER marked_defects_stay BEFORE UPDATE ON marked_defects
    BEGIN SELECT RAISE(ABORT, 'marks are not changed, only added'); END;
CREATE TRIGGER marked_defects_are_kept BEFORE DELETE ON marked_defects
    BEGIN SELECT RAISE(ABORT, 'marks are not deleted'); END;
PRAGMA user_version = 4;
