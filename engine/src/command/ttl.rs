//! The lifetime of one document: TTL GET, SET, INHERIT, TOUCH.

use super::args::exclusive;
use super::{Access, Arg, Call, Command, KEY, Keys, Kind};
use crate::host::{Deadline, Effect};
use crate::{Error, Groups, Reply as _, Time, lifetime};

pub(super) static GET: Command = Command {
    name: "TTL",
    subcommand: Some("GET"),
    summary: "Tells a document's deadline, window, creation, cap, policy and version.",
    access: Access::Read,
    tells: true,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "names and values in turn, moments and spans in milliseconds, nil for none; nil without a document",
    run: get,
};

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let Some(header) = call.host.read(key)?.map(crate::Document::header) else {
        call.reply.null();
        return Ok(());
    };
    let deadline = call.host.deadline(key);
    let policies = call.host.policies();
    let policy = policies.find(key);
    let window = header.window.or(policy.and_then(|policy| policy.window));
    let reply = &mut call.reply;
    reply.array(12);
    for (name, value) in [
        ("deadline", deadline),
        ("window", window),
        ("created", Some(header.created)),
        ("cap", lifetime::cap(policy, &header)),
    ] {
        reply.bulk(name.as_bytes());
        integer_or_null(reply, value);
    }
    reply.bulk(b"policy");
    match policies.find_prefix(key) {
        Some(prefix) => reply.bulk(prefix),
        None => reply.null(),
    }
    reply.bulk(b"version");
    reply.integer(i64::from(header.version));
    Ok(())
}

pub(super) fn integer_or_null(reply: &mut dyn crate::Reply, value: Option<i64>) {
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

pub(super) static SET: Command = Command {
    name: "TTL",
    subcommand: Some("SET"),
    summary: "Sets a document's deadline and, unless ONCE, its own window for later refreshes.",
    // A window is eight bytes, and a server out of memory is where deadlines are shortened.
    access: Access::Write,
    tells: false,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[
        KEY,
        Arg::new(
            "deadline",
            Kind::OneOf(&[
                Arg::new("span", Kind::Block(&[Arg::token("PX"), Arg::new("milliseconds", Kind::Millis)])),
                Arg::new(
                    "moment",
                    Kind::Block(&[Arg::token("PXAT"), Arg::new("unix-time-milliseconds", Kind::Millis)]),
                ),
            ]),
        ),
        Arg::token("ONCE").optional(),
    ],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "OK",
    run: set,
};

fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let now = call.now();
    let key = call.args.word()?;
    let (mut form, mut at, mut once) = (None, None, false);
    while let Some(option) = call.option()? {
        if option == "ONCE" {
            once = true;
            continue;
        }
        exclusive(&mut form, option)?;
        at = Some(match option {
            "PX" => now + call.args.span()?,
            _ => call.args.moment(now)?,
        });
    }
    let at = at.ok_or_else(|| Error::argument(b"ONCE", "goes with PX or PXAT"))?;
    let mut document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    if at <= now {
        // As the server's own EXPIRE with a moment that is past.
        let header = document.header();
        call.host.remove(key)?;
        call.touch(key, Effect::Deleted, header);
    } else {
        if !once {
            document.set_window(Some(at - now))?;
        }
        let header = document.header();
        let current = call.host.deadline(key);
        let deadline = lifetime::explicit(call.host.policies().find(key), &header, at, current);
        call.set_deadline(key, Effect::Lifetime, deadline, header);
    }
    call.reply.ok();
    Ok(())
}

pub(super) static INHERIT: Command = Command {
    name: "TTL",
    subcommand: Some("INHERIT"),
    summary: "Returns a document to its policy's window, from now.",
    access: Access::Write,
    tells: false,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "OK",
    run: inherit,
};

fn inherit(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    let policy = call.host.policies().find(key).copied();
    // A replayed command finds the deadline beside it; only a deciding host needs the policy.
    let policy = match policy {
        Some(policy) => policy,
        None if call.host.decides() => return Err(no_policy(call, key)),
        None => crate::Policy::default(),
    };
    let mut document = call.host.edit(key)?.ok_or(Error::NoKey)?;
    document.set_window(None)?;
    let header = document.header();
    let current = call.host.deadline(key);
    let deadline = lifetime::inherit(&policy, &header, call.now(), current);
    call.set_deadline(key, Effect::Lifetime, deadline, header);
    call.reply.ok();
    Ok(())
}

/// A missing document is the better answer where both are missing.
fn no_policy(call: &mut Call<'_>, key: &[u8]) -> Error {
    match call.host.read(key) {
        Ok(Some(_)) => Error::NoPolicy { key: crate::error::printable(key) },
        Ok(None) => Error::NoKey,
        Err(error) => error,
    }
}

pub(super) static PERSIST: Command = Command {
    name: "TTL",
    subcommand: Some("PERSIST"),
    summary: "Takes a document's deadline away: it lives on, and no refresh gives it one again.",
    access: Access::Write,
    tells: false,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "1 when it had a deadline, else 0",
    run: |call| {
        let key = call.args.word()?;
        let header = call.host.read(key)?.ok_or(Error::NoKey)?.header();
        let had = call.host.deadline(key).is_some();
        if had {
            call.set_deadline(key, Effect::Lifetime, Deadline::Clear, header);
        }
        call.reply.integer(i64::from(had));
        Ok(())
    },
};

pub(super) static TOUCH: Command = Command {
    name: "TTL",
    subcommand: Some("TOUCH"),
    summary: "Refreshes a document now, whatever its policy's groups.",
    access: Access::Write,
    tells: false,
    groups: Groups::empty(),
    special: None,
    keys: Keys::First,
    args: &[KEY],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "1 when the deadline moved, else 0",
    run: touch,
};

fn touch(call: &mut Call<'_>) -> Result<(), Error> {
    let now = call.now();
    let key = call.args.word()?;
    let header = call.host.read(key)?.ok_or(Error::NoKey)?.header();
    let current: Option<Time> = call.host.deadline(key);
    let policy = call.host.policies().find(key);
    let deadline = match (policy, current) {
        (Some(policy), Some(current)) => lifetime::touch(policy, &header, false, now, current),
        // Without a policy the document's own window still says how long it lives.
        (None, Some(current)) => lifetime::touch(&crate::Policy::default(), &header, false, now, current),
        _ => None,
    };
    call.set_deadline(key, Effect::Read, deadline.unwrap_or(Deadline::Keep), header);
    call.reply.integer(i64::from(deadline.is_some()));
    Ok(())
}
