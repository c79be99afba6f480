-- Several nodes are one network: which of them live, which one does what is done once for all, and
-- at which of them a station's charger is connected. The SQLite folder says the same.

-- `seen_at` and `until` are told by the database's clock, which all nodes share.
CREATE TABLE nodes (
    id      TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name    TEXT COLLATE "C"   NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE leases (
    name  TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    node  TEXT COLLATE "C"   NOT NULL,
    until BIGINT NOT NULL
);
INSERT INTO leases (name, node, until) VALUES ('housekeeping', '', 0);

-- The epoch and the node of a station's latest connection: a commit made in the name of another
-- one is refused.
ALTER TABLE stations ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE stations ADD COLUMN node  TEXT   NOT NULL DEFAULT '';
UPDATE stations SET epoch = CAST(CAST(doc AS JSON) ->> 'epoch' AS BIGINT);

-- What tells this network from others that share a Redis with it.
INSERT INTO counters (name, value)
VALUES ('network', CAST(random() * 4611686018427387904 AS BIGINT));
