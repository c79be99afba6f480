//! The versions of the protocol and how two ends agree on one.

use std::fmt;

/// A version of OCPP over JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// OCPP 1.6, edition 2.
    V16,
    /// OCPP 2.0.1, edition 3.
    V201,
    /// OCPP 2.1, edition 1.
    V21,
}

impl Version {
    /// Every version there is a name for, oldest first.
    pub const ALL: [Self; 3] = [Self::V16, Self::V201, Self::V21];

    /// The WebSocket subprotocol (OCPP-J 1.6 §3.1.2), as registered with IANA.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V16 => "ocpp1.6",
            Self::V201 => "ocpp2.0.1",
            Self::V21 => "ocpp2.1",
        }
    }

    /// The version a subprotocol names. Letter case counts, because the name is echoed.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.subprotocol() == name)
    }

    /// The first offered version that is supported: the client's order is its preference.
    ///
    /// `offered` are the elements of `Sec-WebSocket-Protocol`, already split at the commas.
    pub fn negotiate<'a>(
        offered: impl IntoIterator<Item = &'a str>,
        supported: &[Self],
    ) -> Option<Self> {
        offered
            .into_iter()
            .filter_map(|name| Self::from_subprotocol(name.trim()))
            .find(|version| supported.contains(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V16 => "1.6",
            Self::V201 => "2.0.1",
            Self::V21 => "2.1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_among_what_the_server_has() {
        use Version::{V16, V21, V201};
        let check = |offered: &[&str], supported: &[Version], expect| {
            assert_eq!(
                Version::negotiate(offered.iter().copied(), supported),
                expect
            );
        };
        check(&["ocpp1.6"], &[V16, V201], Some(V16));
        check(&["ocpp2.0.1", "ocpp1.6"], &[V16, V201], Some(V201));
        check(&["ocpp1.6", "ocpp2.0.1"], &[V201, V16], Some(V16));
        check(&["ocpp2.1", " ocpp2.0.1 "], &[V16, V201], Some(V201));
        check(&["ocpp2.1"], &[V16], None);
        check(&["ocpp1.5", "OCPP1.6", ""], &[V16, V201, V21], None);
        check(&[], &[V16], None);
    }

    #[test]
    fn names_read_back() {
        for version in Version::ALL {
            assert_eq!(
                Version::from_subprotocol(version.subprotocol()),
                Some(version)
            );
        }
    }
}
