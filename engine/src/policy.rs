//! Policies: how long documents of a key prefix live, and what keeps them alive.

use crate::fields::{self, Unknown, Writer};
use crate::lifetime::MAX_SPAN;
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
    /// Refuses what could not be saved and loaded again.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |value: i64, reason| Err(Error::range(value.to_string().as_bytes(), reason));
        for span in [self.window, self.absolute].into_iter().flatten() {
            if !(1..=MAX_SPAN).contains(&span) {
                return refuse(span, "a span of a policy is 1 ms to 100 years");
            }
        }
        if let (Some(window), Some(absolute)) = (self.window, self.absolute)
            && absolute < window
        {
            return refuse(absolute, "ABSOLUTE is at least the TTL");
        }
        if let Some(horizon) = self.horizon.filter(|horizon| !(1..=MAX_HORIZON).contains(horizon)) {
            return refuse(horizon, "a policy's horizon is out of range");
        }
        if !(1..=100).contains(&self.read_touch_pct) {
            return refuse(self.read_touch_pct.into(), "READ-TOUCH-PCT takes a whole number from 1 to 100");
        }
        if !Groups::REFRESHABLE.contains(self.refresh) {
            return refuse(self.refresh.bits().into(), "the groups of a policy are out of range");
        }
        if self.version < 0 {
            return refuse(self.version, "a policy's version is out of range");
        }
        Ok(())
    }

    /// Whether both say the same; history and version aside.
    fn agrees(&self, other: &Self) -> bool {
        self.stated() == other.stated()
    }

    /// What a client says of it.
    fn stated(&self) -> Self {
        Self { horizon: None, version: 0, ..*self }
    }
}

/// The policies of one database, by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// In the order of the prefixes' bytes.
    entries: Vec<Entry>,
    changes: i64,
    /// What a later release saved of the table as a whole.
    unknown: Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    prefix: Box<[u8]>,
    policy: Policy,
    /// What a later release saved of the policy. Setting the policy anew drops it: the client that does so states
    /// the whole policy.
    unknown: Unknown,
    /// The longest other entry whose prefix starts this one's.
    parent: Option<usize>,
}

impl Policies {
    pub const fn new() -> Self {
        Self { entries: Vec::new(), changes: 0, unknown: Unknown::new() }
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

    /// Sets the policy of a prefix; whether that changed anything. Version and horizon are the table's to give.
    pub fn set(&mut self, prefix: &[u8], policy: Policy, now: Time) -> Result<bool, Error> {
        check_prefix(prefix)?;
        let position = self.position(prefix);
        let current = position.ok().map(|at| &self.entries[at]);
        if current.is_some_and(|entry| entry.unknown.is_empty() && entry.policy.agrees(&policy)) {
            return Ok(false);
        }
        let earlier = current.map(|entry| entry.policy).unwrap_or_default();
        let window_end = earlier.window.map(|window| now.saturating_add(window));
        let policy =
            Policy { horizon: earlier.horizon.max(window_end), version: self.next_change(), ..policy };
        policy.validate()?;
        self.changes = policy.version;
        match position {
            Ok(at) => {
                let entry = &mut self.entries[at];
                (entry.policy, entry.unknown) = (policy, Unknown::new());
            }
            Err(at) => {
                let entry = Entry { prefix: prefix.into(), policy, unknown: Unknown::new(), parent: None };
                self.entries.insert(at, entry);
                self.link();
            }
        }
        Ok(true)
    }

    /// The number of the next change; it starts again behind the last one that can be saved.
    fn next_change(&self) -> i64 {
        self.changes.checked_add(1).unwrap_or(1)
    }

    /// Removes the policy of a prefix; whether there was one.
    pub fn remove(&mut self, prefix: &[u8]) -> bool {
        let Ok(at) = self.position(prefix) else {
            return false;
        };
        self.changes = self.next_change();
        self.entries.remove(at);
        self.link();
        true
    }

    /// Sixteen hex digits that differ when any prefix or policy differs.
    pub fn digest(&self) -> String {
        // FNV-1a: stable across builds, hosts and releases, which is all that a comparison needs.
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let stated = self.entries.iter().flat_map(|Entry { prefix, policy, unknown, .. }| {
            let stated = version_1::entry(prefix, &policy.stated());
            stated.into_iter().chain(unknown.as_bytes().iter().copied())
        });
        let hash = version_1::head(0)
            .into_iter()
            .chain(stated)
            .fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        format!("{hash:016x}")
    }

    /// The table as the payload that snapshots and append-only files carry: its version, then fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut table = Writer::default();
        table.number(tag::CHANGES, self.changes);
        for Entry { prefix, policy, unknown, .. } in &self.entries {
            let mut fields = Writer::default();
            fields.bytes(tag::PREFIX, prefix);
            for (tag, value) in [
                (tag::WINDOW, policy.window),
                (tag::ABSOLUTE, policy.absolute),
                (tag::HORIZON, policy.horizon),
            ] {
                if let Some(value) = value {
                    fields.number(tag, value);
                }
            }
            fields.number(tag::REFRESH, policy.refresh.bits().into());
            fields.number(tag::READ_TOUCH_PCT, policy.read_touch_pct.into());
            fields.number(tag::VERSION, policy.version);
            fields.unknown(unknown.as_bytes());
            table.bytes(tag::POLICY, &fields.finish());
        }
        table.unknown(self.unknown.as_bytes());
        [&[PAYLOAD_VERSION], &table.finish()[..]].concat()
    }

    /// Reads `to_bytes` of this or an earlier release back; nothing of it is trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut table = match bytes.split_first() {
            Some((&PAYLOAD_VERSION, fields)) => Self::from_fields(fields)?,
            Some((&version_1::PAYLOAD_VERSION, rest)) => version_1::table(rest)?,
            Some((version, _)) => {
                return Err(Error::range(
                    version.to_string().as_bytes(),
                    "the payload version of saved policies is not one that this release reads: load the release of \
                     the module that wrote it, or a later one",
                ));
            }
            None => return Err(fields::DAMAGED),
        };
        table.link();
        Ok(table)
    }

    fn from_fields(bytes: &[u8]) -> Result<Self, Error> {
        let (mut table, mut changes) = (Self::default(), None);
        for field in fields::read(bytes) {
            let field = field?;
            match field.tag {
                tag::CHANGES => fields::once(&mut changes, field.positive()?)?,
                tag::POLICY => table.push(Entry::from_fields(field.content)?)?,
                _ => table.unknown.keep(&field)?,
            }
        }
        table.changes = changes.ok_or(fields::DAMAGED)?;
        Ok(table)
    }

    /// Adds a saved entry, which comes after those before it.
    fn push(&mut self, entry: Entry) -> Result<(), Error> {
        check_prefix(&entry.prefix)?;
        entry.policy.validate()?;
        if self.entries.last().is_some_and(|last| last.prefix >= entry.prefix) {
            return Err(fields::DAMAGED);
        }
        self.entries.push(entry);
        Ok(())
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

impl Entry {
    fn from_fields(bytes: &[u8]) -> Result<Self, Error> {
        let (mut prefix, mut window, mut absolute, mut horizon) = (None, None, None, None);
        let (mut refresh, mut read_touch_pct, mut version) = (None, None, None);
        let mut unknown = Unknown::new();
        for field in fields::read(bytes) {
            let field = field?;
            match field.tag {
                tag::PREFIX => fields::once(&mut prefix, field.content.into())?,
                tag::WINDOW => fields::once(&mut window, field.positive()?)?,
                tag::ABSOLUTE => fields::once(&mut absolute, field.positive()?)?,
                tag::HORIZON => fields::once(&mut horizon, field.positive()?)?,
                tag::REFRESH => fields::once(&mut refresh, field.number()?)?,
                tag::READ_TOUCH_PCT => fields::once(&mut read_touch_pct, field.number()?)?,
                tag::VERSION => fields::once(&mut version, field.positive()?)?,
                _ => unknown.keep(&field)?,
            }
        }
        let byte =
            |value: Option<u64>| value.and_then(|value| u8::try_from(value).ok()).ok_or(fields::DAMAGED);
        let policy = Policy {
            window,
            refresh: Groups::from_bits(byte(refresh)?).ok_or(fields::DAMAGED)?,
            absolute,
            read_touch_pct: byte(read_touch_pct)?,
            horizon,
            version: version.ok_or(fields::DAMAGED)?,
        };
        Ok(Self { prefix: prefix.ok_or(fields::DAMAGED)?, policy, unknown, parent: None })
    }
}

/// Refuses what is no prefix of keys.
pub(crate) fn check_prefix(prefix: &[u8]) -> Result<(), Error> {
    if prefix.is_empty() {
        return Err(Error::argument(prefix, "a prefix has at least one byte; end it with its delimiter"));
    }
    Ok(())
}

/// Later than every deadline that a window can set.
const MAX_HORIZON: Time = 1 << 52;

const PAYLOAD_VERSION: u8 = 2;

/// The tags of a saved table's fields, and of those of a policy in it.
mod tag {
    use crate::fields::Tag;

    pub(super) const CHANGES: Tag = 1;
    pub(super) const POLICY: Tag = 3;

    pub(super) const PREFIX: Tag = 1;
    pub(super) const WINDOW: Tag = 3;
    pub(super) const ABSOLUTE: Tag = 5;
    pub(super) const REFRESH: Tag = 7;
    pub(super) const READ_TOUCH_PCT: Tag = 9;
    pub(super) const HORIZON: Tag = 11;
    pub(super) const VERSION: Tag = 13;
}

/// The payload of the first release: numbers of fixed sizes, little endian.
mod version_1 {
    use super::{Entry, MAX_HORIZON, Policies, Policy, Unknown};
    use crate::fields::DAMAGED;
    use crate::{Error, Groups};

    pub(super) const PAYLOAD_VERSION: u8 = 1;

    pub(super) fn head(changes: i64) -> Vec<u8> {
        [&[PAYLOAD_VERSION], &changes.to_le_bytes()[..]].concat()
    }

    pub(super) fn entry(prefix: &[u8], policy: &Policy) -> Vec<u8> {
        let mut out = Vec::with_capacity(prefix.len() + 42);
        out.extend_from_slice(&(prefix.len() as u64).to_le_bytes());
        out.extend_from_slice(prefix);
        out.push(policy.refresh.bits());
        out.push(policy.read_touch_pct);
        // A span or a moment is never 0, so 0 stands for none.
        for value in [policy.window, policy.absolute, policy.horizon] {
            out.extend_from_slice(&value.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&policy.version.to_le_bytes());
        out
    }

    /// Reads what is behind the version.
    pub(super) fn table(bytes: &[u8]) -> Result<Policies, Error> {
        let mut rest = bytes;
        let changes = take_number(&mut rest)?;
        let mut table = Policies { changes, ..Policies::default() };
        if changes < 0 {
            return Err(DAMAGED);
        }
        while !rest.is_empty() {
            let len = usize::try_from(take_number(&mut rest)?).map_err(|_| DAMAGED)?;
            let prefix = take(&mut rest, len)?.into();
            let refresh = Groups::from_bits(take(&mut rest, 1)?[0]).ok_or(DAMAGED)?;
            let read_touch_pct = take(&mut rest, 1)?[0];
            let mut some = || Ok::<_, Error>(Some(take_number(&mut rest)?).filter(|value| *value != 0));
            let (window, absolute, horizon) = (some()?, some()?, some()?);
            // That release computed horizons from whatever a clock said; no deadline comes from such a one.
            let horizon = horizon.filter(|horizon| (1..=MAX_HORIZON).contains(horizon));
            let version = take_number(&mut rest)?;
            let policy = Policy { window, refresh, absolute, read_touch_pct, horizon, version };
            table.push(Entry { prefix, policy, unknown: Unknown::new(), parent: None })?;
        }
        Ok(table)
    }

    fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Error> {
        let (taken, left) = rest.split_at_checked(len).ok_or(DAMAGED)?;
        *rest = left;
        Ok(taken)
    }

    fn take_number(rest: &mut &[u8]) -> Result<i64, Error> {
        let (taken, left) = rest.split_first_chunk().ok_or(DAMAGED)?;
        *rest = left;
        Ok(i64::from_le_bytes(*taken))
    }
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
            table.set(prefix.as_bytes(), window(prefix.len() as i64), 0).unwrap();
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
        assert!(table.set(b"a:", window(HOUR), 0).unwrap());
        assert!(!table.set(b"a:", window(HOUR), 5).unwrap());
        assert_eq!(table.get(b"a:").unwrap().version, 1);
        assert!(table.set(b"a:", window(2 * HOUR), 5).unwrap());
        assert_eq!(table.get(b"a:").unwrap().version, 2);
    }

    #[test]
    fn the_horizon_remembers_the_latest_deadline_of_earlier_windows() {
        let mut table = Policies::default();
        table.set(b"a:", window(10 * HOUR), 0).unwrap();
        table.set(b"a:", window(2 * HOUR), HOUR).unwrap();
        assert_eq!(table.get(b"a:").unwrap().horizon, Some(11 * HOUR));
        table.set(b"a:", window(HOUR), 2 * HOUR).unwrap();
        assert_eq!(table.get(b"a:").unwrap().horizon, Some(11 * HOUR));
    }

    #[test]
    fn the_digest_tells_policies_apart_and_forgets_history() {
        let mut one = Policies::default();
        one.set(b"a:", window(HOUR), 0).unwrap();
        let mut other = Policies::default();
        other.set(b"a:", window(2 * HOUR), 0).unwrap();
        assert_ne!(one.digest(), other.digest());
        other.set(b"a:", window(HOUR), 9).unwrap();
        assert_eq!(one.digest(), other.digest());
    }

    /// A payload of the first release, and what it says.
    #[test]
    fn a_payload_of_version_1_is_read() {
        let policy = Policy {
            refresh: Groups::READ,
            read_touch_pct: 50,
            absolute: Some(5 * HOUR),
            horizon: Some(HOUR),
            version: 2,
            ..window(3 * HOUR)
        };
        let payload = [version_1::head(7), version_1::entry(b"a:", &policy)].concat();
        let table = Policies::from_bytes(&payload).unwrap();
        assert_eq!((table.get(b"a:"), table.changes), (Some(&policy), 7));
        assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
        for horizon in [-1, i64::MIN, i64::MAX] {
            let odd = Policy { horizon: Some(horizon), ..policy };
            let payload = [version_1::head(7), version_1::entry(b"a:", &odd)].concat();
            assert_eq!(Policies::from_bytes(&payload).unwrap().get(b"a:").unwrap().horizon, None);
        }
        for cut in 1..payload.len() {
            assert!(cut == 9 || Policies::from_bytes(&payload[..cut]).is_err(), "{cut}");
        }
    }

    /// What a later release could save: unknown fields of the table, and of one of its policies.
    fn of_a_later_release(tag: u64) -> Vec<u8> {
        let mut table = Policies::default();
        table.set(b"a:", window(HOUR), 0).unwrap();
        table.set(b"b:", window(HOUR), 0).unwrap();
        let mut field = Writer::default();
        field.bytes(tag, b"later");
        let mut entry = fields_of(&table, 0);
        entry.extend_from_slice(&field.finish());
        let mut payload = Writer::default();
        payload.number(tag::CHANGES, 2);
        payload.bytes(tag::POLICY, &entry);
        payload.bytes(tag::POLICY, &fields_of(&table, 1));
        payload.bytes(tag + 2, b"of the table");
        [&[PAYLOAD_VERSION], &payload.finish()[..]].concat()
    }

    fn fields_of(table: &Policies, at: usize) -> Vec<u8> {
        let payload = table.to_bytes();
        let policies =
            fields::read(&payload[1..]).filter_map(Result::ok).filter(|field| field.tag == tag::POLICY);
        policies.map(|field| field.content.to_vec()).nth(at).unwrap()
    }

    #[test]
    fn fields_of_a_later_release_are_kept_and_saved_again() {
        let payload = of_a_later_release(100);
        let mut table = Policies::from_bytes(&payload).unwrap();
        assert_eq!(table.to_bytes(), payload);
        assert_eq!(table.get(b"a:"), Some(&Policy { version: 1, ..window(HOUR) }));
        let digest = table.digest();
        // Another policy leaves them alone; the same policy once more states all of it, which they are no part of.
        assert!(table.set(b"b:", window(2 * HOUR), 0).unwrap());
        assert_eq!(table.to_bytes().windows(5).filter(|part| part == b"later").count(), 1);
        assert!(table.set(b"b:", window(HOUR), 0).unwrap());
        assert_eq!(table.digest(), digest);
        assert!(table.set(b"a:", window(HOUR), 0).unwrap());
        assert!(!table.to_bytes().windows(5).any(|part| part == b"later"));
        assert!(table.to_bytes().ends_with(b"of the table"));
        assert_ne!(table.digest(), digest);
        assert!(!table.set(b"a:", window(HOUR), 0).unwrap());
    }

    #[test]
    fn fields_that_must_be_understood_are_refused() {
        let refused = Policies::from_bytes(&of_a_later_release(101)).unwrap_err().to_string();
        assert!(refused.contains("'101': the tag of a saved field that must be understood"), "{refused}");
        let refused = Policies::from_bytes(&[3]).unwrap_err().to_string();
        assert!(refused.contains("'3': the payload version of saved policies"), "{refused}");
        assert!(Policies::from_bytes(b"").is_err());
    }

    #[test]
    fn the_digest_of_a_table_is_that_of_the_first_release() {
        let mut table = Policies::default();
        table.set(b"S:", Policy { read_touch_pct: 50, absolute: Some(2 * HOUR), ..window(HOUR) }, 0).unwrap();
        table.set(b"T:", Policy::default(), 0).unwrap();
        assert_eq!(table.digest(), "7260ecf8ab4351ea");
    }

    #[test]
    fn a_policy_that_could_not_be_loaded_again_is_not_set() {
        let mut table = Policies::default();
        for policy in [
            window(0),
            window(-1),
            window(MAX_SPAN + 1),
            Policy { absolute: Some(0), ..Policy::default() },
            Policy { absolute: Some(HOUR - 1), ..window(HOUR) },
            Policy { read_touch_pct: 0, ..Policy::default() },
            Policy { read_touch_pct: 101, ..Policy::default() },
            Policy { refresh: Groups::DELETE, ..Policy::default() },
        ] {
            assert!(table.set(b"a:", policy, 0).is_err(), "{policy:?}");
        }
        assert!(table.set(b"", window(HOUR), 0).is_err());
        table.set(b"a:", window(HOUR), 0).unwrap();
        for now in [i64::MAX, i64::MIN, 1 << 53] {
            assert!(table.set(b"a:", window(2 * HOUR), now).is_err());
        }
        assert_eq!(table.get(b"a:"), Some(&Policy { version: 1, ..window(HOUR) }));
        assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
    }

    #[test]
    fn the_count_of_changes_starts_again_before_it_overflows() {
        let payload = [version_1::head(i64::MAX - 1), version_1::entry(b"a:", &window(HOUR))].concat();
        let mut table = Policies::from_bytes(&payload).unwrap();
        table.set(b"a:", window(2 * HOUR), 0).unwrap();
        assert_eq!(table.get(b"a:").unwrap().version, i64::MAX);
        assert!(table.remove(b"a:"));
        table.set(b"a:", window(HOUR), 0).unwrap();
        assert_eq!(table.get(b"a:").unwrap().version, 2);
        assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
    }

    proptest! {
        #[test]
        fn find_agrees_with_a_plain_search(prefixes in proptest::collection::vec("[ab]{1,5}", 0..12), key in "[ab]{0,7}") {
            let mut table = Policies::default();
            for prefix in &prefixes {
                table.set(prefix.as_bytes(), window(1), 0).unwrap();
            }
            let longest = prefixes.iter().filter(|prefix| key.starts_with(*prefix)).max_by_key(|prefix| prefix.len());
            prop_assert_eq!(table.find_prefix(key.as_bytes()), longest.map(String::as_bytes));
        }

        #[test]
        fn the_payload_brings_the_table_back(prefixes in proptest::collection::vec("[a-c:]{1,5}", 0..8), span in 1..=HOUR) {
            let mut table = Policies::default();
            for (at, prefix) in prefixes.iter().enumerate() {
                table.set(prefix.as_bytes(), Policy { absolute: Some(span + 1), ..window(span) }, at as i64).unwrap();
                table.set(prefix.as_bytes(), window(span), at as i64).unwrap();
            }
            prop_assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
        }

        #[test]
        fn a_damaged_payload_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for version in [version_1::PAYLOAD_VERSION, PAYLOAD_VERSION] {
                let payload = [&[version], &bytes[..]].concat();
                if let Ok(table) = Policies::from_bytes(&payload) {
                    prop_assert_eq!(Policies::from_bytes(&table.to_bytes()), Ok(table));
                }
            }
        }
    }
}
