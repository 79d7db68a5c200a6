//! What servers call a row of the table: the event of a change, and the word that replicated commands name it by.

use std::ffi::CStr;

use rapyer_engine::Command;
use rapyer_engine::command::TABLE;

const PREFIX: &[u8] = b"model.";
const LONGEST: usize = 32;

/// Made when the module is built: a command finds its names by its row's number.
static NAMES: [Name; TABLE.len()] = names();

/// `MODEL.TTL|SET` in lower case, with a zero at the end.
#[derive(Clone, Copy)]
struct Name {
    text: [u8; LONGEST],
    len: usize,
}

static EVENTS: [&CStr; TABLE.len()] = events();

/// The event of a change: `model.append`.
pub(crate) fn event(row: usize) -> &'static CStr {
    EVENTS[row]
}

/// The word for the row in a replicated command: `append`, `ttl|set`.
pub(crate) fn word(row: usize) -> &'static [u8] {
    let Name { text, len } = &NAMES[row];
    &text[PREFIX.len()..*len]
}

/// The row that a replicated command names, in any case.
pub(crate) fn row(word: &[u8]) -> Option<usize> {
    (0..TABLE.len()).find(|row| self::word(*row).eq_ignore_ascii_case(word))
}

const fn names() -> [Name; TABLE.len()] {
    let mut names = [Name { text: [0; LONGEST], len: 0 }; TABLE.len()];
    let mut row = 0;
    while row < TABLE.len() {
        names[row] = Name::of(TABLE[row]);
        row += 1;
    }
    names
}

const fn events() -> [&'static CStr; TABLE.len()] {
    let mut events = [c""; TABLE.len()];
    let mut row = 0;
    while row < TABLE.len() {
        match CStr::from_bytes_until_nul(&NAMES[row].text) {
            Ok(name) => events[row] = name,
            Err(_) => panic!("a name ends with a zero"),
        }
        row += 1;
    }
    events
}

impl Name {
    const fn of(command: &Command) -> Self {
        let name = Self { text: [0; LONGEST], len: 0 }.with(PREFIX).with(command.name.as_bytes());
        match command.subcommand {
            Some(subcommand) => name.with(b"|").with(subcommand.as_bytes()),
            None => name,
        }
    }

    const fn with(mut self, part: &[u8]) -> Self {
        let mut at = 0;
        while at < part.len() {
            self.text[self.len] = part[at].to_ascii_lowercase();
            self.len += 1;
            at += 1;
        }
        assert!(self.len < LONGEST, "a name of the table needs more room here");
        self
    }
}

#[cfg(test)]
mod tests {
    use rapyer_engine::Entry;

    use super::*;

    #[test]
    fn every_row_is_found_under_the_name_it_is_replicated_by() {
        for (at, command) in TABLE.iter().enumerate() {
            let entry = Entry { command, twin: false };
            assert_eq!(event(at).to_str().unwrap(), entry.full_name());
            assert_eq!(row(word(at)), Some(at));
            assert_eq!(row(&word(at).to_ascii_uppercase()), Some(at));
        }
        for nothing in [&b"TTL"[..], b"APPEND|X", b"NOPE", b"", b"model.append"] {
            assert_eq!(row(nothing), None);
        }
    }
}
