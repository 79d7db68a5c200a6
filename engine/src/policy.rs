//! Policies: how long documents of a key prefix live, and what keeps them alive.

use std::fmt::Write as _;

use crate::{Error, Groups, Millis, Time};

/// The lifetime of documents under one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The deadline at creation and the idle window of every refresh; without one, documents live on.
    pub window: Option<Millis>,
    /// The groups that refresh.
    pub refresh: Groups,
    /// The hard limit, counted from creation.
    pub absolute: Option<Millis>,
    /// Reads refresh only when at most this share of the window, in percent, remains.
    pub read_touch_pct: u8,
    /// The latest deadline that an earlier window of this policy may have set.
    pub horizon: Option<Time>,
    /// Goes up when the policy changes.
    pub version: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: None,
            refresh: Groups::empty(),
            absolute: None,
            read_touch_pct: 100,
            horizon: None,
            version: 0,
        }
    }
}

impl Policy {
    /// Whether both say the same; history and version aside.
    fn agrees(&self, other: &Self) -> bool {
        Self { horizon: None, version: 0, ..*self } == Self { horizon: None, version: 0, ..*other }
    }
}

/// The policies of one database, by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// In the order of the prefixes' bytes.
    entries: Vec<Entry>,
    changes: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    prefix: Box<[u8]>,
    policy: Policy,
    /// The longest other entry whose prefix starts this one's.
    parent: Option<usize>,
}

impl Policies {
    pub const fn new() -> Self {
        Self { entries: Vec::new(), changes: 0 }
    }

    /// The policy with the longest prefix of `key`.
    pub fn find(&self, key: &[u8]) -> Option<&Policy> {
        self.find_entry(key).map(|entry| &entry.policy)
    }

    /// The longest prefix of `key` that has a policy.
    pub fn find_prefix(&self, key: &[u8]) -> Option<&[u8]> {
        self.find_entry(key).map(|entry| &*entry.prefix)
    }

    fn find_entry(&self, key: &[u8]) -> Option<&Entry> {
        // Whatever prefix of the key there is, it is the last entry not after the key, or starts that entry.
        let after = self.entries.partition_point(|entry| *entry.prefix <= *key);
        let mut candidate = after.checked_sub(1);
        while let Some(entry) = candidate.and_then(|at| self.entries.get(at)) {
            if key.starts_with(&entry.prefix) {
                return Some(entry);
            }
            candidate = entry.parent;
        }
        None
    }

    /// The policy of exactly this prefix.
    pub fn get(&self, prefix: &[u8]) -> Option<&Policy> {
        self.position(prefix).ok().map(|at| &self.entries[at].policy)
    }

    /// Every prefix and its policy, in the order of the prefixes' bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Policy)> {
        self.entries.iter().map(|entry| (&*entry.prefix, &entry.policy))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets the policy of a prefix; whether that changed anything. The version is the table's to give.
    pub fn set(&mut self, prefix: &[u8], mut policy: Policy, now: Time) -> bool {
        match self.position(prefix) {
            Ok(at) => {
                let current = self.entries[at].policy;
                if current.agrees(&policy) {
                    return false;
                }
                policy.horizon = current.horizon.max(current.window.map(|window| now + window));
                self.changes += 1;
                policy.version = self.changes;
                self.entries[at].policy = policy;
            }
            Err(at) => {
                self.changes += 1;
                policy.version = self.changes;
                policy.horizon = None;
                self.entries.insert(at, Entry { prefix: prefix.into(), policy, parent: None });
                self.link();
            }
        }
        true
    }

    /// Removes the policy of a prefix; whether there was one.
    pub fn remove(&mut self, prefix: &[u8]) -> bool {
        let Ok(at) = self.position(prefix) else {
            return false;
        };
        self.changes += 1;
        self.entries.remove(at);
        self.link();
        true
    }

    /// Sixteen hex digits that differ when any prefix or policy differs.
    pub fn digest(&self) -> String {
        // FNV-1a: stable across builds and hosts, which is all that a comparison needs.
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let neutral = Self {
            entries: self
                .entries
                .iter()
                .map(|entry| Entry {
                    policy: Policy { horizon: None, version: 0, ..entry.policy },
                    ..entry.clone()
                })
                .collect(),
            changes: 0,
        };
        let hash =
            neutral.to_bytes().iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        let mut text = String::with_capacity(16);
        // Writing to a String does not fail.
        let _ = write!(text, "{hash:016x}");
        text
    }

    /// The table as the payload that snapshots and append-only files carry; its first byte is its version.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![PAYLOAD_VERSION];
        out.extend_from_slice(&self.changes.to_le_bytes());
        for Entry { prefix, policy, .. } in &self.entries {
            out.extend_from_slice(&(prefix.len() as u64).to_le_bytes());
            out.extend_from_slice(prefix);
            out.push(policy.refresh.bits());
            out.push(policy.read_touch_pct);
            // A span or a moment is never 0, so 0 stands for none.
            for value in [policy.window, policy.absolute, policy.horizon] {
                out.extend_from_slice(&value.unwrap_or(0).to_le_bytes());
            }
            out.extend_from_slice(&policy.version.to_le_bytes());
        }
        out
    }

    /// Reads `to_bytes` back; nothing of it is trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        const DAMAGED: Error = Error::Limit { reason: "the saved policies are damaged" };
        let (version, rest) = bytes.split_first().ok_or(DAMAGED)?;
        if *version != PAYLOAD_VERSION {
            return Err(Error::Limit { reason: "the saved policies are of an unknown version" });
        }
        let mut rest = rest;
        let mut take = |len: usize| {
            let (taken, left) = rest.split_at_checked(len).ok_or(DAMAGED)?;
            rest = left;
            Ok::<_, Error>((taken, left.is_empty()))
        };
        let mut table = Self::default();
        let (changes, mut done) = take(8)?;
        table.changes = word(changes);
        while !done {
            let len = usize::try_from(word(take(8)?.0)).map_err(|_| DAMAGED)?;
            let prefix: Box<[u8]> = take(len)?.0.into();
            let refresh = Groups::from_bits(take(1)?.0[0]).ok_or(DAMAGED)?;
            let read_touch_pct = take(1)?.0[0];
            let mut spans = [None; 3];
            for span in &mut spans {
                *span = Some(word(take(8)?.0)).filter(|value| *value != 0);
            }
            let [window, absolute, horizon] = spans;
            let (version, last) = take(8)?;
            done = last;
            let sane = |value: Option<i64>, most| value.is_none_or(|value| (1..=most).contains(&value));
            if !sane(window, crate::lifetime::MAX_SPAN)
                || !sane(absolute, crate::lifetime::MAX_SPAN)
                || !sane(horizon, 1 << 52)
                || !(1..=100).contains(&read_touch_pct)
                || refresh.contains(Groups::DELETE)
                || table.entries.last().is_some_and(|last| last.prefix >= prefix)
            {
                return Err(DAMAGED);
            }
            let policy =
                Policy { window, refresh, absolute, read_touch_pct, horizon, version: word(version) };
            table.entries.push(Entry { prefix, policy, parent: None });
        }
        table.link();
        Ok(table)
    }

    fn position(&self, prefix: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.prefix).cmp(prefix))
    }

    fn link(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        for at in 0..self.entries.len() {
            while open
                .last()
                .is_some_and(|top| !self.entries[at].prefix.starts_with(&self.entries[*top].prefix))
            {
                open.pop();
            }
            self.entries[at].parent = open.last().copied();
            open.push(at);
        }
    }
}

const PAYLOAD_VERSION: u8 = 1;

fn word(bytes: &[u8]) -> i64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Millis = 3_600_000;

    fn window(window: Millis) -> Policy {
        Policy { window: Some(window), refresh: Groups::READ, ..Policy::default() }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut table = Policies::default();
        for prefix in ["User:", "User:admin:", "Us", "V"] {
            table.set(prefix.as_bytes(), window(prefix.len() as i64), 0);
        }
        let of = |key: &str| {
            table.find_prefix(key.as_bytes()).map(|prefix| String::from_utf8_lossy(prefix).into_owned())
        };
        assert_eq!(of("User:1").as_deref(), Some("User:"));
        assert_eq!(of("User:admin:1").as_deref(), Some("User:admin:"));
        assert_eq!(of("User:zz").as_deref(), Some("User:"));
        assert_eq!(of("UserProfile:1").as_deref(), Some("Us"));
        assert_eq!(of("Token:1"), None);
    }

    #[test]
    fn the_same_policy_again_changes_nothing() {
        let mut table = Policies::default();
        assert!(table.set(b"a:", window(HOUR), 0));
        assert!(!table.set(b"a:", window(HOUR), 5));
        assert_eq!(table.get(b"a:").unwrap().version, 1);
        assert!(table.set(b"a:", window(2 * HOUR), 5));
        assert_eq!(table.get(b"a:").unwrap().version, 2);
    }

    #[test]
    fn the_horizon_remembers_the_latest_deadline_of_earlier_windows() {
        let mut table = Policies::default();
        table.set(b"a:", window(10 * HOUR), 0);
        table.set(b"a:", window(2 * HOUR), HOUR);
        assert_eq!(table.get(b"a:").unwrap().horizon, Some(11 * HOUR));
        table.set(b"a:", window(HOUR), 2 * HOUR);
        assert_eq!(table.get(b"a:").unwrap().horizon, Some(11 * HOUR));
    }

    #[test]
    fn the_digest_tells_policies_apart_and_forgets_history() {
        let mut one = Policies::default();
        one.set(b"a:", window(HOUR), 0);
        let mut other = Policies::default();
        other.set(b"a:", window(2 * HOUR), 0);
        assert_ne!(one.digest(), other.digest());
        other.set(b"a:", window(HOUR), 9);
        assert_eq!(one.digest(), other.digest());
    }

    proptest! {
        #[test]
        fn find_agrees_with_a_plain_search(prefixes in proptest::collection::vec("[ab]{1,5}", 0..12), key in "[ab]{0,7}") {
            let mut table = Policies::default();
            for prefix in &prefixes {
                table.set(prefix.as_bytes(), window(1), 0);
            }
            let longest = prefixes.iter().filter(|prefix| key.starts_with(*prefix)).max_by_key(|prefix| prefix.len());
            prop_assert_eq!(table.find_prefix(key.as_bytes()), longest.map(String::as_bytes));
        }

        #[test]
        fn the_payload_brings_the_table_back(prefixes in proptest::collection::vec("[a-c:]{1,5}", 0..8), span in 1..=HOUR) {
            let mut table = Policies::default();
            for (at, prefix) in prefixes.iter().enumerate() {
                table.set(prefix.as_bytes(), Policy { absolute: Some(span + 1), ..window(span) }, at as i64);
                table.set(prefix.as_bytes(), window(span), at as i64);
            }
            prop_assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
        }

        #[test]
        fn a_damaged_payload_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut payload = vec![PAYLOAD_VERSION];
            payload.extend(bytes);
            let _ = Policies::from_bytes(&payload);
        }
    }
}
