//! Commands that tell about a value: LEN, TYPE, KEYS, CONTAINS, EXPECT.

use super::container::length;
use super::{AS, Access, Arg, Call, Command, KEY, Keys, Kind, PATH, REQUIRE, STRICT, Terms, found};
use crate::equality::Equality;
use crate::host::Effect;
use crate::json::{self, Kind as Json, Sought};
use crate::limits::Bound;
use crate::node::{By, Node, Normals};
use crate::path::{Path, Step};
use crate::{Document, Error, Groups, Reply};

pub(super) static LEN: Command = Command {
    name: "LEN",
    subcommand: None,
    summary: "Counts the elements of an array, the members of an object or the characters of a string.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH.optional(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "the count; nil where there is nothing",
    run: |call| {
        tell(call, |node, path, _, reply| {
            reply.integer(length(node, path)? as i64);
            Ok(())
        })
    },
};

pub(super) static TYPE: Command = Command {
    name: "TYPE",
    subcommand: None,
    summary: "Tells the type of a value.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH.optional(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "null, boolean, integer, number, string, array or object; nil where there is nothing",
    run: |call| {
        tell(call, |node, _, _, reply| {
            reply.bulk(node.kind().name().as_bytes());
            Ok(())
        })
    },
};

pub(super) static KEYS: Command = Command {
    name: "KEYS",
    subcommand: None,
    summary: "Lists the names of an object's members.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH.optional(), STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "an array of JSON strings; nil where there is nothing",
    run: |call| {
        tell(call, |node, path, bound, reply| {
            if node.kind() != Json::Object {
                return Err(Error::bad_type(path, "an object", node.kind()));
            }
            bound.check(node.names().map(<[u8]>::len).sum())?;
            reply.array(node.items());
            node.names().for_each(|name| reply.bulk(name));
            Ok(())
        })
    },
};

/// Answers with what `about` tells of the value at the path that may follow the key; nil where there is none.
fn tell(
    call: &mut Call<'_>,
    about: fn(Node<'_>, &Path, Bound, &mut dyn Reply) -> Result<(), Error>,
) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.optional_path()?.unwrap_or_default();
    call.end()?;
    let bound = call.host.reply_bound();
    let document = found(call.host.read_below(key)?, call.terms.strict)?;
    let Some((document, node)) = look(document, &path)? else {
        call.reply.null();
        return Ok(());
    };
    about(node, &path, bound, &mut call.reply)?;
    let header = document.header();
    call.touch(key, Effect::Read, header);
    Ok(())
}

/// The document with the value at a path in it, where there are both.
fn look<'d>(document: Option<&'d Document>, path: &Path) -> Result<Option<(&'d Document, Node<'d>)>, Error> {
    let Some(document) = document else { return Ok(None) };
    Ok(document.root().find(path.steps())?.map(|node| (document, node)))
}

pub(super) static CONTAINS: Command = Command {
    name: "CONTAINS",
    subcommand: None,
    summary: "Tells whether an array has an element, an object a member of a name, a string a text; without either \
              whether there is a value at all.",
    access: Access::Read,
    tells: true,
    groups: Groups::READ,
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).optional(), AS, STRICT],
    norefresh: true,
    creates: false,
    ifversion: false,
    reply: "1 or 0",
    run: contains,
};

fn contains(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let value = call.args.optional_json(&CONTAINS, 0)?;
    call.end()?;
    let document = match value {
        Some(_) => call.host.read_indexed(key, path.steps(), By::Value(call.terms.equality))?,
        None => call.host.read_below(key)?,
    };
    let Some((document, node)) = look(found(document, call.terms.strict)?, &path)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let contains = match value {
        Some(value) => holds(node, &value, &path, call.terms.equality)?,
        None => true,
    };
    let header = document.header();
    call.touch(key, Effect::Read, header);
    call.reply.integer(i64::from(contains));
    Ok(())
}

fn holds(node: Node<'_>, value: &[u8], path: &Path, equality: Equality) -> Result<bool, Error> {
    let string = || match json::kind(value) {
        Json::String => Ok(value),
        _ => Err(Error::argument(value, "a member's name, and a text in a string, is a JSON string")),
    };
    Ok(match node.kind() {
        Json::Array => {
            let sought = Normals::from([equality.normal(value)]);
            !node.held(By::Value(equality), &sought).is_empty()
        }
        Json::Object => node.child(&Step::Name(string()?.into())).is_some(),
        Json::String => json::unquote(&node.text()).contains(&*json::unquote(string()?)),
        found => return Err(Error::bad_type(path, "an array, an object or a string", found)),
    })
}

pub(super) static EXPECT: Command = Command {
    name: "EXPECT",
    subcommand: None,
    summary: "Fails where the value at a path is not the one that is expected, or without one where there is none, or \
              where it does not meet what is required of it; in a batch, so does the batch.",
    access: Access::Read,
    tells: true,
    // A condition, not a use of the document.
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY, PATH, Arg::new("json", Kind::Json).optional(), REQUIRE],
    norefresh: false,
    creates: false,
    ifversion: true,
    reply: "OK",
    run: expect,
};

fn expect(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let path = call.args.path()?;
    let value = call.args.optional_json(&EXPECT, 0)?;
    call.end()?;
    let Terms { requirements, .. } = call.terms();
    let expected = call.expects_version;
    let document = call.host.read_below(key)?.ok_or(Error::NoKey)?;
    if let Some(expected) = expected {
        expected.check(&document.header())?;
    }
    let found = document.root().find(path.steps())?.ok_or_else(|| Error::changed(&path))?;
    if value.is_some_and(|value| !found.is(&Sought::new(&value))) {
        return Err(Error::changed(&path));
    }
    requirements.check(&path, found)?;
    call.reply.ok();
    Ok(())
}
