//! The table itself, and how a row is found by name.

use std::fmt::Write as _;

use super::{
    Access, Command, container, document, edit, exec, inspect, lock, number, policy, queue, set, ttl, value,
};
use crate::Error;

/// Every command, in the order of the reference.
pub static TABLE: &[&Command] = &[
    &document::CREATE,
    &document::SAVE,
    &edit::EDIT,
    &value::SET,
    &value::GET,
    &document::MGET,
    &document::GETORCREATE,
    &document::COPY,
    &value::UPDATE,
    &value::MERGE,
    &document::DEL,
    &container::APPEND,
    &container::INSERT,
    &container::POP,
    &container::REMOVE,
    &container::CUT,
    &value::UNSET,
    &container::CLEAR,
    &number::INCRBY,
    &number::CALC,
    &inspect::LEN,
    &inspect::TYPE,
    &inspect::KEYS,
    &inspect::CONTAINS,
    &inspect::EXPECT,
    &set::ADD,
    &set::DISCARD,
    &set::SETOP,
    &queue::PUSH,
    &queue::UNPUSH,
    &queue::POPMIN,
    &queue::PEEK,
    &lock::LOCK,
    &lock::RENEW,
    &lock::UNLOCK,
    &exec::EXEC,
    &ttl::GET,
    &ttl::SET,
    &ttl::INHERIT,
    &ttl::PERSIST,
    &ttl::TOUCH,
    &policy::SET,
    &policy::GET,
    &policy::DEL,
    &policy::LIST,
    &policy::MATCH,
    &policy::DIGEST,
];

/// A name that clients can call: a row, or the `_RO` twin of one, which never refreshes.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub command: &'static Command,
    pub twin: bool,
}

impl Entry {
    /// The name without the subcommand, as clients write it: `MODEL.GET_RO`.
    pub fn name(self) -> String {
        format!("MODEL.{}{}", self.command.name, if self.twin { "_RO" } else { "" })
    }

    /// The whole name as servers print it: `model.ttl|get`.
    pub fn full_name(self) -> String {
        let mut name = self.name();
        if let Some(subcommand) = self.command.subcommand {
            name.push('|');
            name.push_str(subcommand);
        }
        name.make_ascii_lowercase();
        name
    }

    /// As the reference writes it: `MODEL.GET key [path ...] [NOREFRESH]`.
    pub fn synopsis(self) -> String {
        let words = std::iter::once(self.name())
            .chain(self.command.subcommand.map(str::to_owned))
            .chain(self.command.arguments().map(ToString::to_string));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Refuses a wrong number of arguments in the server's words.
    pub fn check_arity(self, args: usize) -> Result<(), Error> {
        let fewest = self.command.fewest();
        if args == fewest || args > fewest && !self.command.is_fixed() {
            return Ok(());
        }
        Err(Error::Arity { command: self.full_name() })
    }
}

/// Every name that clients can call.
pub fn entries() -> impl Iterator<Item = Entry> {
    TABLE.iter().flat_map(|&command| {
        let twin = has_twin(command).then_some(Entry { command, twin: true });
        std::iter::once(Entry { command, twin: false }).chain(twin)
    })
}

fn has_twin(command: &Command) -> bool {
    command.access == Access::Read && !command.groups.is_empty()
}

/// The entry a call names, and how many of its words are the name.
pub fn find(words: &[&[u8]]) -> Result<(Entry, usize), Error> {
    let name = words.first().copied().unwrap_or_default();
    let (row, twin) = row_name(name);
    let mut family = false;
    for &command in TABLE {
        if !row.eq_ignore_ascii_case(command.name.as_bytes()) || twin && !has_twin(command) {
            continue;
        }
        let entry = Entry { command, twin };
        let Some(subcommand) = command.subcommand else {
            return Ok((entry, 1));
        };
        family = true;
        if words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(subcommand.as_bytes())) {
            return Ok((entry, 2));
        }
    }
    if !family {
        return Err(Error::Unknown { message: unknown_command(words) });
    }
    let family = String::from_utf8_lossy(name).to_ascii_lowercase();
    match words.get(1) {
        None => Err(Error::Arity { command: family }),
        Some(word) => Err(Error::Unknown {
            message: format!(
                "unknown subcommand '{}'. Try {} HELP.",
                shown(word),
                family.to_ascii_uppercase()
            ),
        }),
    }
}

/// The name a row has where a client writes `name`, and whether it means the twin; no row is called nothing.
fn row_name(name: &[u8]) -> (&[u8], bool) {
    let Some((prefix, row)) = name.split_at_checked(b"MODEL.".len()) else {
        return (b"", false);
    };
    if !prefix.eq_ignore_ascii_case(b"MODEL.") {
        return (b"", false);
    }
    match row.split_last_chunk::<3>() {
        Some((row, suffix)) if suffix.eq_ignore_ascii_case(b"_RO") => (row, true),
        _ => (row, false),
    }
}

/// The server's own words for a command it does not know.
fn unknown_command(words: &[&[u8]]) -> String {
    let (name, args) = words.split_first().map_or((&b""[..], &words[..0]), |(name, args)| (*name, args));
    let mut text = format!("unknown command '{}', with args beginning with: ", shown(name));
    for arg in args {
        if text.len() >= 128 {
            break;
        }
        // Writing to a String does not fail.
        let _ = write!(text, "'{}' ", shown(arg));
    }
    text
}

fn shown(word: &[u8]) -> String {
    crate::error::printable(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Groups;
    use crate::command::{Keys, Kind};

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = entries().map(Entry::full_name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn readers_of_a_group_have_a_twin_and_nothing_else_has() {
        let twins: Vec<String> = entries().filter(|entry| entry.twin).map(Entry::name).collect();
        let readers = ["GET", "MGET", "LEN", "TYPE", "KEYS", "CONTAINS", "SETOP", "PEEK"];
        assert_eq!(twins, readers.map(|name| format!("MODEL.{name}_RO")));
    }

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else_is() {
        for entry in entries() {
            let name = entry.name();
            for name in [name.to_ascii_lowercase(), name] {
                let words: Vec<&[u8]> = std::iter::once(name.as_str())
                    .chain(entry.command.subcommand)
                    .map(str::as_bytes)
                    .collect();
                let (found, names) = find(&words).unwrap();
                assert_eq!((found.full_name(), names), (entry.full_name(), words.len()));
            }
        }
        for name in
            ["", "GET", "MODEL.", "MODEL._RO", "MODEL.SET_RO", "MODEL.GET_RO_RO", "MODEL.TTL_RO", "XODEL.GET"]
        {
            assert!(matches!(find(&[name.as_bytes()]), Err(Error::Unknown { .. })), "{name}");
        }
    }

    #[test]
    fn the_arity_follows_from_the_arguments() {
        let arity = |name: &str| {
            let words: Vec<&[u8]> = name.split(' ').map(str::as_bytes).collect();
            find(&words).unwrap().0.command.arity()
        };
        assert_eq!(arity("MODEL.CREATE"), -3);
        assert_eq!(arity("model.append"), -4);
        assert_eq!(arity("MODEL.TTL GET"), 3);
        assert_eq!(arity("MODEL.TTL SET"), -5);
        assert_eq!(arity("MODEL.POLICY LIST"), 2);
    }

    #[test]
    fn commands_on_exactly_one_document_tell_its_version() {
        let others: Vec<String> = entries()
            .filter(|entry| entry.command.keys != Keys::None && !entry.command.withversion())
            .map(Entry::full_name)
            .collect();
        assert_eq!(
            others,
            ["mget", "mget_ro", "copy", "del", "setop", "setop_ro", "lock", "renew", "unlock", "exec"]
                .into_iter()
                .chain(["ttl|get", "ttl|set", "ttl|inherit", "ttl|persist", "ttl|touch"])
                .map(|name| format!("model.{name}"))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn rows_agree_with_themselves() {
        for entry in entries() {
            let Command { access, tells, keys, groups, args, norefresh, .. } = entry.command;
            let first_key = args.iter().position(|arg| matches!(arg.kind, Kind::Key));
            let place = match keys {
                Keys::None => None,
                Keys::First | Keys::FromTo | Keys::All => Some(0),
                Keys::Counted => Some(1),
            };
            assert_eq!(first_key, place, "{}", entry.name());
            assert_eq!(
                first_key.is_some_and(|at| args[at].multiple),
                matches!(keys, Keys::All | Keys::Counted)
            );
            let looks = groups.intersects(Groups::LOOKING | Groups::ARITHMETIC);
            assert!(*tells || !looks && *access != Access::Read, "{}", entry.name());
            assert!(!norefresh || groups.intersects(Groups::REFRESHABLE), "{}", entry.name());
            assert_eq!(
                access.writes(),
                groups.intersects(!Groups::LOOKING) || groups.is_empty() && access.writes()
            );
        }
    }
}
