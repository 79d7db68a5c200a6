//! Action groups: the categories of operations a policy can choose from.

use bitflags::bitflags;

use crate::Error;

bitflags! {
    /// The categories an operation belongs to; a policy refreshes on any group it shares with the operation.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Groups: u8 {
        const READ = 1;
        const FETCH = 1 << 1;
        const CREATE = 1 << 2;
        const UPDATE = 1 << 3;
        const APPEND = 1 << 4;
        const ERASE = 1 << 5;
        const ARITHMETIC = 1 << 6;
        const DELETE = 1 << 7;
    }
}

impl Groups {
    /// Every group a deadline can be refreshed by: all but DELETE.
    pub const REFRESHABLE: Self = Self::all().difference(Self::DELETE);

    /// The groups that only look; `READ-TOUCH-PCT` throttles these and no others.
    pub const LOOKING: Self = Self::READ.union(Self::FETCH);

    /// Reads the `REFRESH` argument: `ALL`, `NONE`, or group names joined by commas, in any case.
    pub fn parse_refresh(text: &[u8]) -> Result<Self, Error> {
        let refuse = |word: &[u8]| {
            Error::argument(
                word,
                "REFRESH takes ALL, NONE, or any of READ,FETCH,CREATE,UPDATE,APPEND,ERASE,ARITHMETIC",
            )
        };
        if text.eq_ignore_ascii_case(b"ALL") {
            return Ok(Self::REFRESHABLE);
        }
        if text.eq_ignore_ascii_case(b"NONE") {
            return Ok(Self::empty());
        }
        let mut groups = Self::empty();
        for word in text.split(|byte| *byte == b',') {
            if word.eq_ignore_ascii_case(b"DELETE") {
                return Err(Error::argument(
                    word,
                    "a deleted document has no deadline to refresh: leave DELETE out of REFRESH",
                ));
            }
            let name = std::str::from_utf8(word).map_err(|_| refuse(word))?;
            groups |= Self::from_name(&name.to_ascii_uppercase()).ok_or_else(|| refuse(word))?;
        }
        Ok(groups)
    }

    /// The form `parse_refresh` reads back.
    pub fn refresh_text(self) -> String {
        if self == Self::REFRESHABLE {
            return "ALL".into();
        }
        if self.is_empty() {
            return "NONE".into();
        }
        self.names().join(",")
    }

    pub fn names(self) -> Vec<&'static str> {
        self.iter_names().map(|(name, _)| name).collect()
    }
}
