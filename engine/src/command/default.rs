//! `DEFAULT path json`: what a member is taken to be that the document lacks, such as one of a later release.

use std::borrow::Cow;

use super::args::Args;
use super::{Arg, Kind, PATH};
use crate::json::Kind as Json;
use crate::node::Edit;
use crate::path::{Path, Step};
use crate::{Draft, Error};

/// The word that starts one.
pub(super) const WORD: &str = "DEFAULT";

/// `DEFAULT path json`
pub(super) const ARG: Arg =
    Arg::new("default", Kind::Block(&[Arg::token(WORD), PATH, Arg::new("json", Kind::Json)]))
        .optional()
        .multiple();

/// The members that a command adds before it does anything else, where their parents lack them.
#[derive(Debug, Default)]
pub(super) struct Defaults<'a> {
    given: Vec<(Path, Cow<'a, [u8]>)>,
    /// Which of them were added, in this order, and the version that the document had before.
    added: Vec<usize>,
    version: u32,
    /// The key of that document, if it was there before the command.
    key: Option<&'a [u8]>,
}

impl<'a> Defaults<'a> {
    /// Takes what follows `DEFAULT`.
    pub(super) fn take(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        let word = args.peek();
        let path = args.path()?;
        if !matches!(path.steps().last(), Some(Step::Name(_))) {
            return Err(Error::argument(word, "DEFAULT is for a member: its path ends with a name"));
        }
        let value = args.json(path.depth())?;
        self.given.push((path, value));
        Ok(())
    }

    /// Adds to the document what it lacks, without counting a write: the command counts one. All or nothing.
    pub(super) fn add(&mut self, document: &mut Draft<'_>) -> Result<(), Error> {
        self.version = document.header().version;
        for (at, (path, value)) in self.given.iter().enumerate() {
            let Some((last @ Step::Name(name), above)) = path.steps().split_last() else { continue };
            let added = document.edit(above, |parent| {
                let lacks = parent.kind() == Json::Object && parent.child(last).is_none();
                Ok((lacks, lacks.then_some(Edit::Put { name, value })))
            });
            match added {
                Ok(Some(true)) => self.added.push(at),
                // The command itself says what is wrong with a path that has no parent, if it needs the value there.
                Ok(_) => {}
                Err(error) => {
                    self.take_back(document)?;
                    return Err(error);
                }
            }
        }
        document.set_version(self.version);
        Ok(())
    }

    /// The same for the document under a key, which lacks it again where the command then leaves it as it was.
    pub(super) fn add_under(&mut self, key: &'a [u8], document: &mut Draft<'_>) -> Result<(), Error> {
        self.key = Some(key);
        self.add(document)
    }

    /// The key of the document that has what it lacked.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        self.key.filter(|_| !self.added.is_empty())
    }

    /// Removes what was added from a document that was not changed since. Each was the last member of its parent then.
    pub(super) fn take_back(&mut self, document: &mut Draft<'_>) -> Result<(), Error> {
        let added = std::mem::take(&mut self.added);
        for at in added.iter().rev() {
            document.edit(self.given[*at].0.steps(), |_| Ok(((), Some(Edit::Remove))))?;
        }
        // Each came and went.
        document.forget(2 * added.len());
        document.set_version(self.version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::embedded::Keyspace;
    use crate::{Error, Mirror, Value};

    /// Commands that add what is missing in the documents below, each with whether it changes anything.
    #[rustfmt::skip]
    const CALLS: &[(&str, bool)] = &[
        ("MODEL.SET k $.m.x 1 DEFAULT $.m {}", true),
        ("MODEL.SET k $.m 1 NX DEFAULT $.m 2", false),
        ("MODEL.SET k $.m 1 XX DEFAULT $.m 2", true),
        ("MODEL.SET k $.m.x.y 1 DEFAULT $.m {}", false),
        ("MODEL.INCRBY k $.m 2 DEFAULT $.m 40", true),
        ("MODEL.INCRBY k $.m 2 MAX 41 DEFAULT $.m 40", false),
        ("MODEL.INCRBY k $.m 2 MAX 41 STRICT DEFAULT $.m 40", false),
        ("MODEL.INCRBY k $.m.x.y 2 DEFAULT $.m {} DEFAULT $.m.x {} DEFAULT $.m.x.y 1", true),
        ("MODEL.INCRBY k $.m.x.y 2 DEFAULT $.m {} DEFAULT $.m.x {} DEFAULT $.m.x.y []", false),
        ("MODEL.INCRBY k $.no.m 2 DEFAULT $.no.m 1", false),
        ("MODEL.INCRBY k $.n 1 DEFAULT $.n 7", true),
        ("MODEL.INCRBY k $.list[-1].m 1 DEFAULT $.list[-1].m 7", true),
        ("MODEL.INCRBY k $.list[-1].m 1 MIN 9 DEFAULT $.list[-1].m 7", false),
        ("MODEL.CALC k $.m MUL 3 DEFAULT $.m 2", true),
        ("MODEL.CALC k $.m DIV 0 DEFAULT $.m 2", false),
        ("MODEL.APPEND k $.m 1 2 DEFAULT $.m [0]", true),
        ("MODEL.APPEND k $.m 1 UNIQUE DEFAULT $.m [1]", false),
        ("MODEL.APPEND k $.m 1 UNIQUE STRICT DEFAULT $.m [1]", false),
        (r#"MODEL.APPEND k $.m "b" DEFAULT $.m "a""#, true),
        ("MODEL.INSERT k $.m 0 1 DEFAULT $.m [2]", true),
        ("MODEL.POP k $.m DEFAULT $.m [1,2]", true),
        ("MODEL.POP k $.m DEFAULT $.m []", false),
        ("MODEL.REMOVE k $.m 2 COUNT 9 DEFAULT $.m [1,2]", true),
        ("MODEL.REMOVE k $.m 3 DEFAULT $.m [1,2]", false),
        ("MODEL.CUT k $.m 0 1 DEFAULT $.m [1,2]", true),
        ("MODEL.CUT k $.m 5 9 DEFAULT $.m [1,2]", false),
        ("MODEL.CLEAR k $.m DEFAULT $.m [1,2]", true),
        ("MODEL.CLEAR k $.m DEFAULT $.m []", false),
        ("MODEL.UPDATE k $.m.x 1 $.n 2 DEFAULT $.m {}", true),
        ("MODEL.UPDATE k $.m.x 1 WHERE $.n EQ 9 DEFAULT $.m {}", false),
        ("MODEL.UPDATE k $.m 1 WHERE $.m EQ 9 DEFAULT $.m 9", true),
        ("MODEL.UNSET k $.n DEFAULT $.m {}", true),
        ("MODEL.UNSET k $.no DEFAULT $.m {}", false),
        (r#"MODEL.MERGE k $.m {"x":1,"a":null} DEFAULT $.m {"a":1}"#, true),
        ("MODEL.ADD k $.m 1 DEFAULT $.m [2]", true),
        ("MODEL.ADD k $.m 2 DEFAULT $.m [2]", false),
        ("MODEL.DISCARD k $.m 2 DEFAULT $.m [2]", true),
        ("MODEL.DISCARD k $.m 3 DEFAULT $.m [2]", false),
        (r#"MODEL.PUSH k $.m 1 "a" DEFAULT $.m []"#, true),
        ("MODEL.PUSH k $.m 1 2 DEFAULT $.m [2]", false),
        ("MODEL.UNPUSH k $.m 1 DEFAULT $.m [[1,1]]", true),
        ("MODEL.UNPUSH k $.m 2 DEFAULT $.m [[1,1]]", false),
        ("MODEL.POPMIN k $.m DEFAULT $.m [[1,1]]", true),
        ("MODEL.POPMIN k $.m DEFAULT $.m []", false),
    ];

    fn call(keyspace: &mut Keyspace, words: &str) -> Result<Value, Error> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        keyspace.execute(&words, 1_000_000)
    }

    /// Its text, and what is told of its lifetime: its version is among that.
    fn state(keyspace: &mut Keyspace) -> (Value, Value) {
        let text = call(keyspace, "MODEL.GET_RO k").unwrap();
        (text, call(keyspace, "MODEL.TTL GET k").unwrap())
    }

    /// Small documents, and some that are large containers here.
    fn documents() -> impl Strategy<Value = String> {
        (prop::collection::vec(0..50_i64, 0..60), 0..8_usize).prop_map(|(list, members)| {
            let mut list: Vec<String> = list.iter().map(i64::to_string).collect();
            list.push("{}".into());
            let mut members: Vec<String> =
                (0..members).map(|at| format!(r#""member{at}":"{}""#, "x".repeat(30))).collect();
            members.push(format!(r#""n":1,"list":[{}]"#, list.join(",")));
            format!("{{{}}}", members.join(","))
        })
    }

    #[test]
    fn every_writer_below_the_root_is_called() {
        let called: std::collections::BTreeSet<&str> =
            CALLS.iter().filter_map(|(call, _)| call.split(' ').next()?.strip_prefix("MODEL.")).collect();
        let takes = |row: &&&crate::Command| row.args.iter().any(|arg| arg.name == super::ARG.name);
        let rows: std::collections::BTreeSet<&str> =
            crate::command::TABLE.iter().filter(takes).map(|row| row.name).collect();
        assert_eq!(called, rows);
    }

    #[test]
    fn a_default_is_for_a_member_and_is_json() {
        let mut keyspace = Keyspace::default();
        call(&mut keyspace, r#"MODEL.CREATE k {"n":1,"list":[1]}"#).unwrap();
        for (words, prefix) in [
            ("MODEL.INCRBY k $.n 1 DEFAULT $ 1", "BADARG '$': DEFAULT is for a member"),
            ("MODEL.INCRBY k $.n 1 DEFAULT $.list[1] 1", "BADARG '$.list[1]': DEFAULT is for a member"),
            ("MODEL.INCRBY k $.n 1 DEFAULT n 1", "BADPATH "),
            ("MODEL.INCRBY k $.n 1 DEFAULT $.n {", "BADJSON "),
            ("MODEL.INCRBY k $.n 1 DEFAULT $.n", "BADARG "),
            ("MODEL.SET k $ 1 DEFAULT $.n 1", "BADARG "),
            ("MODEL.INCRBY none $.n 1 DEFAULT $.n 1", "NOKEY "),
        ] {
            let error = call(&mut keyspace, words).unwrap_err().to_string();
            assert!(error.starts_with(prefix), "{words}: {error}");
        }
    }

    #[test]
    fn a_document_that_is_created_keeps_what_was_added() {
        let mut keyspace = Keyspace::default();
        let words = r#"MODEL.INCRBY k $.n.x 1 ELSE {"n":{}} DEFAULT $.n.x 40"#;
        for sum in ["41", "42"] {
            assert_eq!(call(&mut keyspace, words), Ok(Value::Bulk(sum.into())));
            assert_eq!(state(&mut keyspace).0, Value::Bulk(format!(r#"{{"n":{{"x":{sum}}}}}"#).into()));
        }
    }

    #[test]
    fn a_default_that_does_not_fit_leaves_nothing_behind() {
        let mut keyspace = Keyspace::default();
        keyspace.limits_mut().set(crate::Limit::Document, 1024).unwrap();
        call(&mut keyspace, r#"MODEL.CREATE k {"n":1}"#).unwrap();
        let before = state(&mut keyspace);
        let long = "x".repeat(1_000);
        let words = format!(r#"MODEL.INCRBY k $.n 1 DEFAULT $.a "{long}" DEFAULT $.b "{long}""#);
        assert!(matches!(call(&mut keyspace, &words), Err(Error::Beyond { .. })));
        assert_eq!(state(&mut keyspace), before);
    }

    proptest! {
        #[test]
        fn a_default_is_as_if_it_had_been_set_before_or_is_not_there(
            document in documents(), at in 0..CALLS.len(),
        ) {
            let (words, changes) = CALLS[at];
            let mut keyspaces = [Keyspace::default(), Keyspace::default()];
            for keyspace in &mut keyspaces {
                call(keyspace, &format!("MODEL.CREATE k {document}")).unwrap();
            }
            let [keyspace, twin] = &mut keyspaces;
            let before = state(keyspace);
            let mut parts = words.split(" DEFAULT ");
            let command = parts.next().unwrap();
            for default in parts {
                // Where its parent is missing it cannot be set.
                let _ = call(twin, &format!("MODEL.SET k {default} NX"));
            }
            prop_assert_eq!(call(keyspace, words), call(twin, command));
            let after = state(keyspace);
            let mut mirror = Mirror::new(document.as_bytes()).unwrap();
            let told = mirror.apply(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>());
            prop_assert_eq!(told.is_ok_and(|(_, told)| !told.is_empty()), changes);
            prop_assert_eq!(mirror.text().map(Value::Bulk), Some(after.0.clone()));
            if changes {
                prop_assert_eq!(&after.0, &state(twin).0);
                // One step, however many members were added.
                prop_assert_eq!(call(keyspace, "MODEL.SET k $.n 1 IFVERSION 2"), Ok(Value::Ok));
            } else {
                prop_assert_eq!(&after, &before);
            }
        }
    }
}
