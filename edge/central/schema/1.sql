-- Version 1 of the central records. Columns are those of the stations' records (edge/records/schema), with the station.
-- Parts, views and defects are partitioned by the month of the trigger, UTC; writers make the partitions.
CREATE TABLE edge_inspect.verdicts (number smallint PRIMARY KEY, name text NOT NULL);
INSERT INTO edge_inspect.verdicts VALUES (1, 'OK'), (2, 'NG'), (3, 'UNSURE'), (4, 'TIMEOUT'), (5, 'FAULT');
CREATE TABLE edge_inspect.stations (
    station text PRIMARY KEY,
    progress jsonb NOT NULL,        -- rows that are here, edge/forwarding/progress.py
    revised bigint NOT NULL,        -- rows to this number were compared again after they were complete
    state jsonb,                    -- latest state of the station, edge/servers/state.py
    seen timestamptz                -- when it was written, by the clock of the database
);
CREATE TABLE edge_inspect.parts (
    station text NOT NULL,
    number bigint NOT NULL,
    time timestamptz NOT NULL,
    part_id bigint NOT NULL,
    encoder bigint NOT NULL,
    verdict smallint NOT NULL,
    told smallint NOT NULL,
    class text,
    score double precision,
    area_px double precision,
    fault text NOT NULL,
    bundle_id text NOT NULL,
    frame_us bigint,
    prepared_us bigint,
    inferred_us bigint,
    decided_us bigint,
    recorded_us bigint,
    sent_us bigint,
    acknowledged_us bigint,
    link text NOT NULL,
    challenge bigint,
    ejection text,
    received timestamptz NOT NULL DEFAULT now(), -- by the clock of the database: shows a station's clock that is wrong
    PRIMARY KEY (station, number, time)
) PARTITION BY RANGE (time);
CREATE INDEX parts_by_time ON edge_inspect.parts (time);
CREATE TABLE edge_inspect.views (
    station text NOT NULL,
    part bigint NOT NULL,
    time timestamptz NOT NULL,      -- of the part
    item smallint NOT NULL,         -- counted within the part
    camera text NOT NULL,
    exposure bigint NOT NULL,
    source text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    picture text,                   -- file in the station's folder of pictures
    PRIMARY KEY (station, part, time, item)
) PARTITION BY RANGE (time);
CREATE TABLE edge_inspect.defects (
    station text NOT NULL,
    part bigint NOT NULL,
    time timestamptz NOT NULL,      -- of the part
    item smallint NOT NULL,         -- counted within the part
    camera text NOT NULL,
    class text NOT NULL,
    score double precision NOT NULL,
    area_px double precision NOT NULL,
    area_mm2 double precision,
    x integer NOT NULL,
    y integer NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    PRIMARY KEY (station, part, time, item)
) PARTITION BY RANGE (time);
CREATE TABLE edge_inspect.alarms (
    station text NOT NULL,
    number bigint NOT NULL,
    name text NOT NULL,
    area text NOT NULL,
    cause text NOT NULL,
    part_id bigint NOT NULL,
    began timestamptz NOT NULL,
    ended timestamptz,
    PRIMARY KEY (station, number)
);
-- Rows of a clock that is wrong by years; the months between have partitions of their own.
CREATE TABLE edge_inspect.parts_other PARTITION OF edge_inspect.parts DEFAULT;
CREATE TABLE edge_inspect.views_other PARTITION OF edge_inspect.views DEFAULT;
CREATE TABLE edge_inspect.defects_other PARTITION OF edge_inspect.defects DEFAULT;
