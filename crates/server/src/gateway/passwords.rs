//! What chargers present: hashed when it is set, checked before the upgrade.
//!
//! What people choose can be guessed, and gets a hash that is slow on purpose. What is made here
//! cannot, and gets a quick one. See `docs/adr/0005-charger-passwords.md`.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use domain::StationId;
use moka::sync;
use rand::TryRngCore as _;
use rand::rand_core::OsError;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::app::hex;

/// Hashes computed at a time. Each takes a core and [`MEMORY_KIB`].
const PARALLEL: usize = 2;
/// Memory of one hash, passes over it: the smallest of the parameter sets that OWASP holds to be
/// equally strong, because fifteen thousand chargers may come back at once.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
/// Chargers whose right password is remembered, hashed with a key of this process: coming back
/// costs them microseconds instead of milliseconds.
const MAX_REMEMBERED: u64 = 100_000;

/// Random bytes of a password that is made here: an OCPP 1.6 `AuthorizationKey` of the full length.
/// 160 bits are not guessed, however quick the hash.
const MADE_BYTES: usize = 20;
/// So that two stations' hashes tell nothing of each other.
const SALT_BYTES: usize = 16;
/// What the hash of such a password begins with. The others begin with `$argon2id$`.
const MADE: &str = "$sha256$";

/// Shortest password: OCPP 1.6 security whitepaper, `AuthorizationKey`; 2.x `BasicAuthPassword`.
pub const MIN_PASSWORD: usize = 16;
/// Longest password, and 40 hexadecimal digits.
pub const MAX_PASSWORD: usize = 40;

/// Hashes and checks chargers' passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    key: [u8; 32],
    remembered: sync::Cache<StationId, [u8; 32]>,
    work: Arc<Semaphore>,
}

impl Passwords {
    /// Nothing remembered yet; `key` is this process's own, and random.
    pub fn new(key: [u8; 32]) -> Self {
        let remembered = sync::Cache::new(MAX_REMEMBERED);
        Self {
            key,
            remembered,
            work: Arc::new(Semaphore::new(PARALLEL)),
        }
    }

    /// Hashes a password that somebody chose. `None` only if the hash function refuses, which its
    /// parameters rule out.
    pub async fn hash(&self, password: &str) -> Option<String> {
        let password = canonical(password.as_bytes());
        let _permit = self.work.acquire().await.ok()?;
        tokio::task::spawn_blocking(move || {
            Some(argon2()?.hash_password(&password).ok()?.to_string())
        })
        .await
        .ok()?
    }

    /// Whether what a charger presents is what was set.
    pub async fn verify(&self, id: &StationId, presented: &[u8], hash: &str) -> bool {
        let presented = canonical(presented);
        if let Some(kept) = hash.strip_prefix(MADE) {
            return is_made(&presented, kept);
        }
        let mark = self.mark(&presented, hash);
        if self
            .remembered
            .get(id)
            .is_some_and(|known| known.ct_eq(&mark).into())
        {
            return true;
        }
        let Ok(_permit) = self.work.acquire().await else {
            return false;
        };
        let hash = hash.to_owned();
        let right = tokio::task::spawn_blocking(move || {
            let Ok(hash) = PasswordHash::new(&hash) else {
                return false;
            };
            Argon2::default().verify_password(&presented, &hash).is_ok()
        })
        .await
        .unwrap_or(false);
        if right {
            self.remembered.insert(id.clone(), mark);
        }
        right
    }

    /// Forgets that a charger presented the right password.
    pub fn forget(&self, id: &StationId) {
        self.remembered.invalidate(id);
    }

    /// What is remembered of a right password. Bound to the stored hash, so a new password
    /// outdates it.
    fn mark(&self, presented: &[u8], hash: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update(hash.as_bytes());
        digest.update([0]);
        digest.update(presented);
        digest.finalize().into()
    }
}

/// A password that was made here, and its hash.
#[derive(Clone)]
pub struct Made {
    /// What the charger is to present: 40 hexadecimal digits.
    pub password: String,
    /// What is kept.
    pub hash: String,
}

impl Made {
    /// Makes one.
    pub fn new() -> Result<Self, OsError> {
        let (mut key, mut salt) = ([0; MADE_BYTES], [0; SALT_BYTES]);
        OsRng.try_fill_bytes(&mut key)?;
        OsRng.try_fill_bytes(&mut salt)?;
        let encoded = BASE64_STANDARD_NO_PAD.encode(salt);
        let digest = BASE64_STANDARD_NO_PAD.encode(digest(&salt, &key));
        Ok(Self {
            password: hex(&key),
            hash: format!("{MADE}{encoded}${digest}"),
        })
    }
}

/// Whether this is the password that was made; `kept` is its salt and its hash.
fn is_made(presented: &[u8], kept: &str) -> bool {
    let Some((salt, kept)) = kept.split_once('$') else {
        return false;
    };
    let decode = |text: &str| BASE64_STANDARD_NO_PAD.decode(text);
    let (Ok(salt), Ok(kept)) = (decode(salt), decode(kept)) else {
        return false;
    };
    digest(&salt, presented).ct_eq(kept.as_slice()).into()
}

fn digest(salt: &[u8], key: &[u8]) -> [u8; 32] {
    let digest = Sha256::new().chain_update(salt).chain_update(key);
    digest.finalize().into()
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// An OCPP 1.6 `AuthorizationKey` is written as 32 to 40 hexadecimal digits, and presented as the
/// bytes they stand for, or as the digits: both are taken as the bytes.
fn canonical(password: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let hex = (32..=MAX_PASSWORD).contains(&password.len()) && password.len().is_multiple_of(2);
    let decoded: Option<Vec<u8>> = hex
        .then(|| {
            password
                .chunks(2)
                .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
                .collect()
        })
        .flatten();
    decoded.unwrap_or_else(|| password.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_as_digits_and_as_bytes() {
        let digits = "000102030405060708090A0B0C0D0E0FFF000102";
        let bytes: Vec<u8> = (0..16).chain([0xff, 0, 1, 2]).collect();
        assert_eq!(canonical(digits.as_bytes()), bytes);
        assert_eq!(canonical(digits.to_lowercase().as_bytes()), bytes);
        assert_eq!(canonical(&bytes), bytes);
        assert_eq!(
            canonical(b"just a password, 40 characters long...!!").len(),
            40
        );
    }

    #[tokio::test]
    async fn what_is_made_is_right_and_nothing_else() {
        let passwords = Passwords::new([7; 32]);
        let id = StationId::new("CP-1").unwrap();
        let (made, other) = (Made::new().unwrap(), Made::new().unwrap());
        let is = async |presented: &[u8], hash: &str| passwords.verify(&id, presented, hash).await;
        assert_eq!(made.password.len(), MAX_PASSWORD);
        assert!(is(made.password.as_bytes(), &made.hash).await);
        assert!(is(&canonical(made.password.as_bytes()), &made.hash).await);
        assert!(!is(other.password.as_bytes(), &made.hash).await);
        assert!(!is(b"", &made.hash).await);
        // Nor is the hash itself a password, whatever is cut off it.
        for hash in ["$sha256$", "$sha256$$", "$sha256$c2FsdA", "$sha256$c2FsdA$"] {
            assert!(!is(b"", hash).await, "{hash}");
        }
        let hashes = [made.hash, other.hash];
        assert!(!hashes.iter().any(|hash| hash.contains(&made.password)));
    }

    #[tokio::test]
    async fn right_is_right_and_a_new_password_outdates_the_old() {
        let passwords = Passwords::new([7; 32]);
        let id = StationId::new("CP-1").unwrap();
        let old = passwords.hash("correct horse battery").await.unwrap();
        assert!(!passwords.verify(&id, b"wrong horse battery", &old).await);
        assert!(passwords.verify(&id, b"correct horse battery", &old).await);
        assert!(passwords.verify(&id, b"correct horse battery", &old).await);
        let new = passwords.hash("another horse entirely").await.unwrap();
        assert!(!passwords.verify(&id, b"correct horse battery", &new).await);
    }
}
