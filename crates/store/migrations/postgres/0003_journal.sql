-- The field journal, what was read out of its entries, and what the language model was spent on.
-- The SQLite folder says the same; texts that are compared sort by their bytes here too (COLLATE "C").

CREATE TABLE journal_entries (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    station_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    doc        TEXT   NOT NULL
);
CREATE INDEX journal_entries_age ON journal_entries (created_at, id);
CREATE INDEX journal_entries_station ON journal_entries (station_id, created_at, id);

CREATE TABLE journal_analyses (
    id            TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    entry_id      TEXT COLLATE "C"   NOT NULL,
    entry_version BIGINT NOT NULL,
    model         TEXT COLLATE "C"   NOT NULL,
    doc           TEXT   NOT NULL
);
CREATE INDEX journal_analyses_entry ON journal_analyses (entry_id, id);

-- Tokens by day (UTC, `2026-05-17`): the budget holds over restarts, and for all nodes together.
CREATE TABLE llm_tokens (
    day    TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    tokens BIGINT NOT NULL
);
