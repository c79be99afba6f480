-- Browsers that have shown a token, and links that open the console once. Kept is the hash of what
-- is presented. The PostgreSQL folder says the same.

CREATE TABLE sign_ins (
    hash     TEXT   NOT NULL PRIMARY KEY,
    token_id TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    until    BIGINT NOT NULL
);
CREATE INDEX sign_ins_token ON sign_ins (token_id, kind, until);
CREATE INDEX sign_ins_until ON sign_ins (until);
