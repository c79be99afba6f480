//! One server for a SQLite file.
//!
//! Two would each take the other's stations for orphans and sweep them, over and over. SQLite's own
//! locks do not forbid it: they are held for a transaction, not for a process.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::Location;

/// The right to be the one server of a database. The system takes it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Sole {
    /// None for PostgreSQL, which is there for several.
    _lock: Option<File>,
}

impl Sole {
    /// Takes it, or tells with `None` that another process has it. A file system that knows no
    /// locks cannot tell, and forbids nothing.
    pub fn take(location: &Location) -> io::Result<Option<Self>> {
        let Location::Sqlite(path) = location else {
            return Ok(Some(Self { _lock: None }));
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_file(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Self { _lock: None }))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Beside the file: locking SQLite's own would get into the way of its locks.
fn lock_file(path: &Path) -> OsString {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_server_at_a_time_and_postgres_any_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::Sqlite(folder.path().join("enchufe.db"));
        let first = Sole::take(&file).unwrap();
        assert!(first.is_some());
        assert!(Sole::take(&file).unwrap().is_none());
        drop(first);
        assert!(Sole::take(&file).unwrap().is_some());

        let server = Location::Postgres("postgres://db/enchufe".to_owned());
        let (one, two) = (Sole::take(&server).unwrap(), Sole::take(&server).unwrap());
        assert!(one.is_some() && two.is_some());
    }
}
