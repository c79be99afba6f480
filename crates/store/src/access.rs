//! Who may do what: access tokens, chargers' credentials, id tags, and remembered requests.

use domain::token::{IdTag, IdTagUid, Role, Token};
use domain::{StationId, TokenId};
use jiff::Timestamp;

use crate::batch::Statement;
use crate::db::{Row, Value};
use crate::{MAX_PAGE, Store, StoreError};

pub(crate) static INSERT_TOKEN: Statement = Statement::new(
    "INSERT INTO tokens (id, hash, name, role, created_at) \
     VALUES «text, text, text, text, int» ON CONFLICT DO NOTHING RETURNING id",
);
pub(crate) static DELETE_TOKEN: Statement =
    Statement::new("DELETE FROM tokens WHERE id IN (VALUES «text») RETURNING id");
pub(crate) const TOKEN_BY_HASH: &str =
    "SELECT id, name, role, created_at FROM tokens WHERE hash = $1";
pub(crate) const LIST_TOKENS: &str = "SELECT id, name, role, created_at FROM tokens \
     WHERE id > $1 ORDER BY id LIMIT $2";

pub(crate) static UPSERT_CREDENTIALS: Statement = Statement::new(
    "INSERT INTO credentials \
     (station_id, hash, updated_at) VALUES «text, text, int» ON CONFLICT (station_id) \
     DO UPDATE SET hash = excluded.hash, updated_at = excluded.updated_at \
     RETURNING station_id",
);
/// Not guarded: a station need not have credentials.
pub(crate) static DELETE_CREDENTIALS: Statement =
    Statement::new("DELETE FROM credentials WHERE station_id IN (VALUES «text»)");
pub(crate) const GET_CREDENTIALS: &str = "SELECT hash FROM credentials WHERE station_id = $1";

pub(crate) static INSERT_ID_TAG: Statement = Statement::new(
    "INSERT INTO id_tags (uid, version, doc) \
     VALUES «text, int, text» ON CONFLICT DO NOTHING RETURNING uid",
);
pub(crate) static UPDATE_ID_TAG: Statement = Statement::new(
    "UPDATE id_tags SET version = v.column3, doc = v.column4 \
     FROM (VALUES «text, int, int, text») AS v WHERE uid = v.column1 AND version = v.column2 \
     RETURNING uid",
);
pub(crate) static DELETE_ID_TAG: Statement = Statement::new(
    "DELETE FROM id_tags WHERE (uid, version) IN (VALUES «text, int») RETURNING uid",
);
pub(crate) const GET_ID_TAG: &str = "SELECT doc FROM id_tags WHERE uid = $1";
pub(crate) const LIST_ID_TAGS: &str =
    "SELECT doc FROM id_tags WHERE uid > $1 ORDER BY uid LIMIT $2";

pub(crate) static INSERT_IDEMPOTENCY: Statement = Statement::new(
    "INSERT INTO idempotency \
     (token_id, key, fingerprint, resource, created_at) VALUES «text, text, text, text, int» \
     ON CONFLICT DO NOTHING RETURNING token_id || ' ' || key",
);
pub(crate) const GET_IDEMPOTENCY: &str = "SELECT fingerprint, resource, created_at \
     FROM idempotency WHERE token_id = $1 AND key = $2";
pub(crate) const FORGET_IDEMPOTENCY: &str = "DELETE FROM idempotency WHERE created_at < $1";

/// What a charger must present, hashed.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Whose.
    pub station_id: StationId,
    /// Its hash, which begins with the name of how it was made.
    pub hash: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// An access token to keep, with the hash of its secret.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What is known of it.
    pub token: Token,
    /// SHA-256 of the secret, in hexadecimal.
    pub hash: String,
}

/// What is remembered of a request that carried an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose request. Keys of different callers never meet.
    pub token_id: TokenId,
    /// The key.
    pub key: String,
    /// What was asked, hashed: the same key must come with the same question.
    pub fingerprint: String,
    /// What it made, as the caller likes to write it.
    pub resource: String,
    /// When.
    pub created_at: Timestamp,
}

impl Store {
    /// The access token whose secret has this hash.
    pub async fn token_by_hash(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        let rows = self.fetch(TOKEN_BY_HASH, &[hash.into()]).await?;
        rows.first().map(token).transpose()
    }

    /// Lists access tokens by id, after one of them.
    pub async fn tokens(
        &self,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let rows = self
            .fetch(LIST_TOKENS, &[after.into(), limit.into()])
            .await?;
        rows.iter().map(token).collect()
    }

    /// The hash of what a station's charger must present.
    pub async fn credentials(&self, station: &StationId) -> Result<Option<String>, StoreError> {
        let rows = self
            .fetch(GET_CREDENTIALS, &[station.as_str().into()])
            .await?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    /// Reads an id tag.
    pub async fn id_tag(&self, uid: &IdTagUid) -> Result<Option<IdTag>, StoreError> {
        let rows = self.fetch(GET_ID_TAG, &[uid.as_str().into()]).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Lists id tags by their text, after one of them.
    pub async fn id_tags(
        &self,
        after: Option<&IdTagUid>,
        limit: u32,
    ) -> Result<Vec<IdTag>, StoreError> {
        let after = after.map_or("", IdTagUid::as_str);
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let rows = self
            .fetch(LIST_ID_TAGS, &[after.into(), limit.into()])
            .await?;
        rows.iter().map(|row| row.doc(0)).collect()
    }

    /// What is remembered of a request.
    pub async fn idempotency(
        &self,
        token_id: TokenId,
        key: &str,
    ) -> Result<Option<Idempotency>, StoreError> {
        let values = [token_id.to_string().into(), key.into()];
        let rows = self.fetch(GET_IDEMPOTENCY, &values).await?;
        let read = |row: &Row| {
            Ok(Idempotency {
                token_id,
                key: key.to_owned(),
                fingerprint: row.text(0)?,
                resource: row.text(1)?,
                created_at: timestamp(row.int(2)?)?,
            })
        };
        rows.first().map(read).transpose()
    }

    /// Forgets requests from before a time.
    pub async fn forget_requests(&self, before: Timestamp) -> Result<(), StoreError> {
        let values = vec![before.as_microsecond().into()];
        self.run(FORGET_IDEMPOTENCY, values).await.map(drop)
    }
}

impl NewToken {
    pub(crate) fn row(&self) -> Vec<Value> {
        vec![
            self.token.id.to_string().into(),
            self.hash.as_str().into(),
            self.token.name.as_str().into(),
            self.token.role.as_str().into(),
            self.token.created_at.as_microsecond().into(),
        ]
    }
}

impl Credentials {
    pub(crate) fn row(&self) -> Vec<Value> {
        vec![
            self.station_id.as_str().into(),
            self.hash.as_str().into(),
            self.updated_at.as_microsecond().into(),
        ]
    }
}

impl Idempotency {
    /// Its key as [`INSERT_IDEMPOTENCY`] returns it.
    pub(crate) fn guard(&self) -> String {
        format!("{} {}", self.token_id, self.key)
    }

    pub(crate) fn row(&self) -> Vec<Value> {
        vec![
            self.token_id.to_string().into(),
            self.key.as_str().into(),
            self.fingerprint.as_str().into(),
            self.resource.as_str().into(),
            self.created_at.as_microsecond().into(),
        ]
    }
}

pub(crate) fn id_tag_row(tag: &IdTag) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        tag.uid.as_str().into(),
        tag.version.into(),
        serde_json::to_string(tag)?.into(),
    ])
}

pub(crate) fn id_tag_update_row(tag: &IdTag, expected: i64) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        tag.uid.as_str().into(),
        expected.into(),
        tag.version.into(),
        serde_json::to_string(tag)?.into(),
    ])
}

pub(crate) fn token(row: &Row) -> Result<Token, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt(what);
    let role = row.text(2)?;
    Ok(Token {
        id: row
            .text(0)?
            .parse()
            .map_err(|error: uuid::Error| corrupt(error.to_string()))?,
        name: row.text(1)?,
        role: Role::from_word(&role).ok_or_else(|| corrupt(role))?,
        created_at: timestamp(row.int(3)?)?,
    })
}

pub(crate) fn timestamp(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}
