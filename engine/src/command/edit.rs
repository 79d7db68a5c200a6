//! The save of parts: EDIT.

use std::borrow::Cow;

use super::args::Values;
use super::assign::{Claims, Only, assign, remove};
use super::set::{add_all, discard_all, retain_new};
use super::value::refuse_root;
use super::{AS, Access, Arg, Call, Command, KEY, Keys, Kind, PATH, Terms, optional_equality};
use crate::equality::Equality;
use crate::host::Effect;
use crate::json::Kind as Json;
use crate::node::{By, Node};
use crate::path::{Path, Step};
use crate::{Draft, Error, Groups, Reply as _};

const JSON: Arg = Arg::new("json", Kind::Json);
const COUNT: Arg = Arg::new("count", Kind::Count);
const ITEM: Arg = Arg::new("item", Kind::Json).multiple();

pub(super) static EDIT: Command = Command {
    name: "EDIT",
    subcommand: None,
    summary: "Saves parts of a document, all or none, each edit on the result of those before: SET adds a member that \
              is missing, UNSET removes what is there, ADD and DISCARD change sets, one that is missing being empty. \
              Without edits it is a save that changes nothing.",
    access: Access::Grow,
    tells: false,
    groups: Groups::CREATE.union(Groups::UPDATE),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new(
            "edit",
            Kind::OneOf(&[
                Arg::new("set", Kind::Block(&[Arg::token("SET"), PATH, JSON])),
                Arg::new("unset", Kind::Block(&[Arg::token("UNSET"), PATH])),
                Arg::new("add", Kind::Block(&[Arg::token("ADD"), PATH, COUNT, ITEM, AS])),
                Arg::new("discard", Kind::Block(&[Arg::token("DISCARD"), PATH, COUNT, ITEM, AS])),
            ]),
        )
        .optional()
        .multiple(),
    ],
    norefresh: true,
    creates: false,
    ifversion: true,
    reply: "OK",
    run: edit,
};

fn edit(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let mut edits = Vec::new();
    while let Some(action) = call.option()? {
        edits.push(Edit::take(call, action)?);
    }
    let mut document = call.try_edit(key)?.ok_or(Error::NoKey)?;
    let changed = document.edit_once(|document| apply_all(document, &edits))?;
    let header = document.header();
    // Saving without a change keeps a document alive all the same; nothing was written then.
    call.touch(key, if changed { Effect::Changed } else { Effect::Read }, header);
    call.reply.ok();
    Ok(())
}

/// What becomes of the value at a path.
struct Edit<'a> {
    path: Path,
    action: Action<'a>,
}

enum Action<'a> {
    Set(Cow<'a, [u8]>),
    Unset,
    Add(Values<'a>, Equality),
    Discard(Values<'a>, Equality),
}

impl<'a> Edit<'a> {
    /// Takes what follows the word of an edit.
    fn take(call: &mut Call<'a>, action: &str) -> Result<Self, Error> {
        let path = call.args.path()?;
        let depth = path.depth();
        let action = match action {
            "SET" => Action::Set(call.args.json(depth)?),
            "UNSET" => {
                refuse_root(&path)?;
                Action::Unset
            }
            "ADD" => Action::Add(items(call, depth + 1)?, optional_equality(&mut call.args)?),
            _ => Action::Discard(items(call, 0)?, optional_equality(&mut call.args)?),
        };
        Ok(Self { path, action })
    }

    /// Carries it out; whether that changed anything. `many` says that more edits look elements of arrays up.
    fn apply(&self, document: &mut Draft<'_>, many: bool) -> Result<bool, Error> {
        let path = &self.path;
        // The edits before may have made it a large one.
        document.break_up();
        match &self.action {
            Action::Set(value) => assign(document, path, value, Some(Only::Different)),
            Action::Unset => remove(document, path),
            Action::Add(values, equality) => {
                let mut values = values.clone();
                if document.root().find(path.steps())?.is_none() {
                    retain_new(Node::Text(b"[]"), &mut values, *equality);
                    let set = [b"[", &*values.join(&b","[..]), b"]"].concat();
                    return assign(document, path, &set, None);
                }
                document.index(path.steps(), By::Value(*equality), many);
                add_all(document, path, &mut values, &Terms::by(*equality))?;
                Ok(!values.is_empty())
            }
            Action::Discard(values, equality) => {
                if document.root().find(path.steps())?.is_none() {
                    return Ok(false);
                }
                document.index(path.steps(), By::Value(*equality), many);
                Ok(discard_all(document, path, values, &Terms::by(*equality))? > 0)
            }
        }
    }

    /// Whether it looks elements of an array up.
    fn looks_up(&self) -> bool {
        matches!(self.action, Action::Add(..) | Action::Discard(..))
    }
}

/// The items that the next word counts, as canonical JSON that will stand inside `above` containers.
fn items<'a>(call: &mut Call<'a>, above: usize) -> Result<Values<'a>, Error> {
    let most = i64::try_from(call.args.len()).unwrap_or(i64::MAX) - 1;
    let count =
        call.args.integer(1..=most, "ADD and DISCARD take the number of items that follow, at least one")?;
    (0..count).map(|_| call.args.json(above)).collect()
}

/// After how many look-ups of elements it is worth to look through the rest of an array once and for all.
const FEW: usize = 4;

/// Carries edits out one after the other, all or none; whether that changed anything.
fn apply_all(document: &mut Draft<'_>, edits: &[Edit<'_>]) -> Result<bool, Error> {
    let many = edits.iter().filter(|edit| edit.looks_up()).count() > FEW;
    let apply_each = |document: &mut Draft<'_>| {
        edits.iter().try_fold(false, |changed, edit| Ok(changed | edit.apply(document, many)?))
    };
    if edits.len() < 2 {
        return apply_each(document);
    }
    if none_can_fail(document, edits) {
        let changed = apply_each(document);
        debug_assert!(changed.is_ok(), "{changed:?}");
        return changed;
    }
    document.edit_or_restore(apply_each)
}

/// Whether every edit is possible as the document is now, none changes what another one needs, and there is room for
/// all of them.
fn none_can_fail(document: &Draft<'_>, edits: &[Edit<'_>]) -> bool {
    let mut claims = Claims::new(document);
    edits.iter().all(|edit| edit.claim(&mut claims).is_some()) && claims.are_apart()
}

impl Edit<'_> {
    /// Notes what it needs; `None` where it may fail.
    fn claim(&self, claims: &mut Claims<'_>) -> Option<()> {
        let path = &self.path;
        let (place, of_set, bytes) = match &self.action {
            Action::Set(value) => (claims.goal(path)?, false, value.len()),
            Action::Add(values, _) | Action::Discard(values, _) => {
                let place = match claims.resolve(path).ok()? {
                    Some((place, node)) => (node.kind() == Json::Array).then_some(place),
                    None => claims.goal(path),
                };
                (place?, true, values.iter().map(|value| value.len() + 1).sum::<usize>() + 2)
            }
            // Nothing but an ambiguous path can keep a value from being removed. The elements behind one move: it claims their array.
            Action::Unset => {
                let place = claims.resolve(path).ok()?.map_or_else(|| path.clone(), |(place, _)| place);
                let array = match place.split_last() {
                    Some((array, Step::Index(_))) => Some(array),
                    _ => None,
                };
                (array.unwrap_or(place), false, 0)
            }
        };
        claims.claim(path, place, of_set, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::embedded::Keyspace;
    use crate::limits::Limit;
    use crate::{Document, Value};

    const NOW: i64 = 1_700_000_000_000;

    fn call(keyspace: &mut Keyspace, words: &[&str]) -> Result<Value, Error> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        keyspace.execute(&words, NOW)
    }

    fn state(keyspace: &mut Keyspace) -> (String, Option<u32>) {
        let text = match call(keyspace, &["MODEL.GET_RO", "k"]) {
            Ok(Value::Bulk(text)) => String::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        };
        let version = (1..9_u32).find(|version| {
            call(keyspace, &["MODEL.EDIT", "k", "NOREFRESH", "IFVERSION", &version.to_string()]).is_ok()
        });
        (text, version)
    }

    fn keyspace() -> Keyspace {
        let mut keyspace = Keyspace::default();
        let document = r#"{"a":1,"s":[1,2],"o":{"x":[{"y":0},{"y":1}]}}"#;
        call(&mut keyspace, &["MODEL.CREATE", "k", document]).unwrap();
        keyspace
    }

    #[test]
    fn all_edits_are_one_write() {
        let mut keyspace = keyspace();
        let edits = "MODEL.EDIT k SET $.a 2 SET $.b {} SET $.b.c [] UNSET $.o.x[0] SET $.o.x[0].y 7 ADD $.s 3 2 3 3 \
                     ADD $.t 2 1 1.0 DISCARD $.s 1 1 DISCARD $.none.at 1 1";
        let words: Vec<&str> = edits.split_whitespace().collect();
        assert_eq!(call(&mut keyspace, &words), Ok(Value::Ok));
        let after = r#"{"a":2,"s":[2,3],"o":{"x":[{"y":7}]},"b":{"c":[]},"t":[1]}"#;
        assert_eq!(state(&mut keyspace), (after.into(), Some(2)));
    }

    #[test]
    fn edits_that_change_nothing_are_no_write() {
        for edits in [
            "",
            "SET $.a 1",
            "SET $.s [1,2]",
            "SET $.o.x[0] {\t\"y\":\t0}",
            "UNSET $.b UNSET $.a.b UNSET $.s[2]",
            "ADD $.s 2 2 1.0",
            r#"ADD $.s 2 "2.0" 1 AS NUMBER DISCARD $.s 1 "1.0" DISCARD $.s 1 "1.5" AS NUMBER"#,
            "DISCARD $.s 1 3 DISCARD $.b 1 1 DISCARD $.b.c 1 1",
        ] {
            let mut keyspace = keyspace();
            let before = state(&mut keyspace);
            let words =
                ["MODEL.EDIT", "k"].into_iter().chain(edits.split(' ').filter(|word| !word.is_empty()));
            let words: Vec<&str> = words.collect();
            assert_eq!(call(&mut keyspace, &words), Ok(Value::Ok), "{edits}");
            assert_eq!(state(&mut keyspace), before, "{edits}");
        }
    }

    #[test]
    fn an_edit_that_fails_takes_all_of_them_back() {
        for (edits, error) in [
            ("SET $.a 2 SET $.s[2] 1", "NOPATH nothing at path '$.s[2]'"),
            ("SET $.a 2 SET $.b.c 1", "NOPATH nothing at path '$.b.c'"),
            ("UNSET $.o SET $.o.x 1", "NOPATH nothing at path '$.o.x'"),
            ("UNSET $.s[0] SET $.s[1] 1", "NOPATH nothing at path '$.s[1]'"),
            ("SET $.b 2 ADD $.b 1 1", "BADTYPE path '$.b' holds integer, the command needs an array"),
            ("SET $.p {\"q\":1} DISCARD $.p.q 1 1", "BADTYPE path '$.p.q' holds"),
            ("ADD $.s 1 3 ADD $.b.c 1 1", "NOPATH nothing at path '$.b.c'"),
            ("SET $.a 2 ADD $.a 1 1", "BADTYPE path '$.a' holds integer, the command needs an array"),
            ("SET $.a 2 UNSET $", "BADARG '$': the root stays"),
            ("SET $.a 2 ADD $.s 0 1", "OUTOFRANGE '0': ADD and DISCARD take the number of items"),
            ("SET $.a 2 ADD $.s 2 1", "OUTOFRANGE '2': ADD and DISCARD take the number of items"),
            ("SET $.a 2 ADD $.s 1 1 AS TEXT", "BADARG 'TEXT': AS takes NUMBER or TIME"),
            ("SET $.a 2 AS NUMBER", "BADARG 'AS': not an option of this command"),
            ("SET $.a 2 POP $.s", "BADARG 'POP': not an option of this command"),
        ] {
            let mut keyspace = keyspace();
            let before = state(&mut keyspace);
            let words: Vec<&str> = ["MODEL.EDIT", "k"].into_iter().chain(edits.split_whitespace()).collect();
            let refusal = call(&mut keyspace, &words).unwrap_err().to_string();
            assert!(refusal.starts_with(error), "{edits}: {refusal}");
            assert_eq!(state(&mut keyspace), before, "{edits}");
        }
        assert_eq!(
            call(&mut Keyspace::default(), &["MODEL.EDIT", "k", "SET", "$.a", "1"]),
            Err(Error::NoKey)
        );
    }

    fn at<'a>(path: &str, action: Action<'a>) -> Edit<'a> {
        Edit { path: Path::parse(path.as_bytes()).unwrap(), action }
    }

    fn set(path: &str) -> Edit<'static> {
        at(path, Action::Set(b"7"[..].into()))
    }

    fn add(path: &str) -> Edit<'static> {
        at(path, Action::Add([Cow::Borrowed(&b"7"[..])].into_iter().collect(), Equality::Value))
    }

    fn unset(path: &str) -> Edit<'static> {
        at(path, Action::Unset)
    }

    #[test]
    fn edits_in_places_apart_need_no_copy_of_the_document() {
        let mut document = Document::new(br#"{"a":1,"s":[1],"o":{"x":[0,1],"y":[2]}}"#, NOW).unwrap();
        let mut free = |edits: &[Edit<'_>], bytes| {
            none_can_fail(&Draft::new(&mut document, Limits::TOP.bound(Limit::Document).min(bytes)), edits)
        };
        let all = Limits::TOP.bound(Limit::Document);
        let none = crate::limits::Bound::memory(0);
        assert!(free(&[set("$.a"), set("$.new"), set("$.o.x[0]"), set("$.o.x[-1]"), unset("$.o.y")], all));
        assert!(free(&[add("$.s"), add("$.t"), add("$.s"), unset("$.o.x[0]"), unset("$.o.x[0]")], all));
        assert!(free(&[set("$.a"), set("$.a"), unset("$.a"), unset("$.none.at.all")], all));
        assert!(!free(&[set("$.a"), set("$.b")], none));
        for edits in [
            [set("$.o"), set("$.o.x")],
            [unset("$.o.x[0]"), set("$.o.x[1]")],
            [set("$.s"), add("$.s")],
            [set("$.a"), set("$.b.c")],
            [set("$.a"), add("$.a")],
            [set("$.a"), set("$")],
        ] {
            assert!(!free(&edits, all));
        }
    }

    #[test]
    fn edits_of_elements_that_filters_select_are_apart_while_the_filters_select_the_same() {
        let elements = br#"{"l":[{"k":"a","n":1,"o":{"k":1}},{"k":"b"},{"n":2},{"n":2}]}"#;
        let mut document = Document::new(elements, NOW).unwrap();
        let mut free = |edits: &[Edit<'_>]| none_can_fail(&Limits::TOP.draft(&mut document), edits);
        let [a, b] = ["$.l[?@.k=='a']", "$.l[?@.k=='b']"];
        let [a_n, a_k, b_n, b_k] =
            [(a, "n"), (a, "k"), (b, "n"), (b, "k")].map(|(at, name)| format!("{at}.{name}"));
        assert!(free(&[set(a)]) && free(&[set(&a_k)]));
        assert!(free(&[set(&a_n), add(&b_n), set("$.l[2]['n']"), set("$.l[0].o.k"), unset("$.m")]));
        assert!(free(&[set(&a_n), set("$.l[?@.k=='a'].o.k")]));
        for edits in [
            [set(&a_n), set(&b_k)],
            [set(&a_n), set(b)],
            [set(&a_n), unset("$.l[1]")],
            [set(&a_n), set("$.l")],
            [set(&a_n), set("$.l[2].k")],
            [set(&a_n), add("$.l")],
            [set(&a_n), set("$.l[?@.k=='c'].n")],
            [set(&a_n), set("$.l[?@.n==2].n")],
        ] {
            assert!(!free(&edits));
        }
    }
}
