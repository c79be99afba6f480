-- Browsers that have shown a token, and links that open the console once. Kept is the hash of what
-- is presented. The SQLite folder says the same; texts that are compared sort by their bytes here
-- too (COLLATE "C").

CREATE TABLE sign_ins (
    hash     TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    token_id TEXT COLLATE "C"   NOT NULL,
    kind     TEXT COLLATE "C"   NOT NULL,
    until    BIGINT NOT NULL
);
CREATE INDEX sign_ins_token ON sign_ins (token_id, kind, until);
CREATE INDEX sign_ins_until ON sign_ins (until);
