//! Enumerations of the specification, written once each.

use crate::Fault;

/// One word of a list the specification gives.
pub trait Word: Sized {
    /// The value for a word, and what was odd about it.
    fn read(text: &str) -> Result<(Self, Option<Fault>), Fault>;
}

/// An unknown word is kept to this many characters; the longest known one has 31.
pub(crate) const MAX_WORD: usize = 64;

/// Declares enumerations as `Variant = "word on the wire"`.
///
/// `open` ones keep a word the specification does not list in `Unknown`: chargers say them, and a
/// status that is not understood is still worth recording. `closed` ones refuse it: they steer what
/// a charger does, so a guess would be worse. Both read words in any letter case.
macro_rules! words {
    ($($(#[$meta:meta])* $kind:ident enum $name:ident {
        $($(#[$note:meta])* $variant:ident = $word:literal,)*
    })*) => {$(
        $crate::words::words!(@$kind $(#[$meta])* $name { $($(#[$note])* $variant = $word,)* });

        impl $name {
            /// Every word the specification lists.
            pub const WORDS: &[&str] = &[$($word,)*];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};

    (@open $(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $(#[$note])* $variant,)*
            /// A word the specification does not list, as it was sent.
            Unknown(Box<str>),
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl $crate::read::Word for $name {
            fn read(text: &str) -> Result<(Self, Option<$crate::Fault>), $crate::Fault> {
                $(if text == $word { return Ok((Self::$variant, None)); })*
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok((Self::$variant, Some($crate::Fault::LetterCase)));
                })*
                let word = $crate::error::truncated(text, $crate::words::MAX_WORD).replace('\0', "");
                Ok((Self::Unknown(word.into()), Some($crate::Fault::UnknownWord)))
            }
        }
    };

    (@closed $(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $(#[$note])* $variant,)*
        }

        impl $name {
            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl $crate::read::Word for $name {
            fn read(text: &str) -> Result<(Self, Option<$crate::Fault>), $crate::Fault> {
                $(if text == $word { return Ok((Self::$variant, None)); })*
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok((Self::$variant, Some($crate::Fault::LetterCase)));
                })*
                Err($crate::Fault::UnknownWord)
            }
        }
    };
}

pub(crate) use words;
