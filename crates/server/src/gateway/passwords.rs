//! What chargers present: hashed when it is set, checked before the upgrade.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::StationId;
use moka::sync;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Hashes computed at a time. Each takes a core and [`MEMORY_KIB`].
const PARALLEL: usize = 2;
/// Memory of one hash, passes over it: the smallest of the parameter sets that OWASP holds to be
/// equally strong, because fifteen thousand chargers may come back at once.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
/// Chargers whose right password is remembered, hashed with a key of this process: coming back
/// costs them microseconds instead of milliseconds.
const MAX_REMEMBERED: u64 = 100_000;

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

    /// Hashes a password. `None` only if the hash function refuses, which its parameters rule out.
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
