-- What is searched, sorted or guarded is a column; the whole is a JSON document beside it
-- (docs/adr/0002). Times are microseconds since 1970 UTC. The SQLite folder says the same; texts
-- that are compared sort by their bytes here too (COLLATE "C").

CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0), ('transactions', 0), ('starts', 0);

CREATE TABLE stations (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    status      TEXT   NOT NULL,
    online      BIGINT NOT NULL,
    available   BIGINT NOT NULL,
    occupied    BIGINT NOT NULL,
    reserved    BIGINT NOT NULL,
    unavailable BIGINT NOT NULL,
    faulted     BIGINT NOT NULL,
    unknown     BIGINT NOT NULL,
    search      TEXT COLLATE "C"   NOT NULL,
    doc         TEXT   NOT NULL
) WITH (fillfactor = 50); -- Rows change all the time: room for the next version beside each.

CREATE TABLE credentials (
    station_id TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    id             TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    version        BIGINT NOT NULL,
    station_id     TEXT COLLATE "C"   NOT NULL,
    transaction_id TEXT COLLATE "C"   NOT NULL,
    start_key      TEXT COLLATE "C",
    evse           BIGINT,
    state          TEXT   NOT NULL,
    doc            TEXT   NOT NULL
);
CREATE UNIQUE INDEX sessions_start ON sessions (station_id, start_key);
CREATE INDEX sessions_transaction ON sessions (station_id, transaction_id);
CREATE INDEX sessions_station ON sessions (station_id, id);
CREATE INDEX sessions_state ON sessions (state, id);

-- A record sent twice is kept once: same station, same time, same content.
CREATE TABLE meter_values (
    station_id TEXT COLLATE "C"   NOT NULL,
    at         BIGINT NOT NULL,
    digest     BIGINT NOT NULL,
    session_id TEXT,
    evse       BIGINT,
    energy_wh  BIGINT,
    power_w    BIGINT,
    samples    TEXT   NOT NULL,
    PRIMARY KEY (station_id, at, digest)
);
CREATE INDEX meter_values_session ON meter_values (session_id, at);

CREATE TABLE commands (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    station_id TEXT COLLATE "C"   NOT NULL,
    ended      BIGINT NOT NULL,
    doc        TEXT   NOT NULL
);
CREATE INDEX commands_station ON commands (station_id, id);
CREATE INDEX commands_open ON commands (ended, id);

CREATE TABLE id_tags (
    uid     TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    doc     TEXT   NOT NULL
);

CREATE TABLE tokens (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- What a repeated request made the first time: a pointer, never a secret.
CREATE TABLE idempotency (
    token_id    TEXT COLLATE "C"   NOT NULL,
    key         TEXT COLLATE "C"   NOT NULL,
    fingerprint TEXT   NOT NULL,
    resource    TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Append-only. `seq` is gapless and in the order of the commits.
CREATE TABLE events (
    seq        BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    station_id TEXT COLLATE "C",
    type       TEXT   NOT NULL,
    doc        TEXT   NOT NULL
);
CREATE INDEX events_station ON events (station_id, seq);
