//! Policies: POLICY SET, GET, DEL, LIST, MATCH, DIGEST.

use super::args::exclusive;
use super::ttl::integer_or_null;
use super::{Access, Arg, Call, Command, Keys, Kind};
use crate::policy::check_prefix;
use crate::{Error, Groups, Policy, Reply};

const PREFIX: Arg = Arg::new("prefix", Kind::Text);

/// What all rows of the family share.
const FAMILY: Command = Command {
    name: "POLICY",
    subcommand: None,
    summary: "",
    access: Access::Inspect,
    tells: false,
    groups: Groups::empty(),
    special: None,
    keys: Keys::None,
    args: &[],
    norefresh: false,
    creates: false,
    ifversion: false,
    reply: "",
    run: list,
};

pub(super) static SET: Command = Command {
    subcommand: Some("SET"),
    summary: "Sets the policy of a key prefix, its delimiter included.",
    access: Access::Configure,
    args: &[
        PREFIX,
        Arg::new(
            "window",
            Kind::Block(&[
                Arg::token("TTL"),
                Arg::new("ttl", Kind::OneOf(&[Arg::new("milliseconds", Kind::Millis), Arg::token("NONE")])),
            ]),
        ),
        Arg::new(
            "refresh",
            Kind::Block(&[Arg::token("REFRESH"), Arg::new("group[,group...]|ALL|NONE", Kind::Text)]),
        )
        .optional(),
        Arg::new("absolute", Kind::Block(&[Arg::token("ABSOLUTE"), Arg::new("milliseconds", Kind::Millis)]))
            .optional(),
        Arg::new(
            "read-touch-pct",
            Kind::Block(&[Arg::token("READ-TOUCH-PCT"), Arg::new("percent", Kind::Integer)]),
        )
        .optional(),
        Arg::new("condition", Kind::OneOf(&[Arg::token("NX"), Arg::token("XX")])).optional(),
    ],
    reply: "the policy's version; nil when NX or XX is not met",
    run: set,
    ..FAMILY
};

fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let prefix = prefix(call)?;
    let mut policy = Policy::default();
    let (mut condition, mut said) = (None, false);
    while let Some(option) = call.option()? {
        match option {
            "TTL" => {
                let word = call.args.word()?;
                said = true;
                let none = word.eq_ignore_ascii_case(b"NONE");
                policy.window = if none { None } else { Some(crate::lifetime::span(word)?) };
            }
            "REFRESH" => policy.refresh = Groups::parse_refresh(call.args.word()?)?,
            "ABSOLUTE" => policy.absolute = Some(call.args.span()?),
            "READ-TOUCH-PCT" => {
                let percent =
                    call.args.integer(1..=100, "READ-TOUCH-PCT takes a whole number from 1 to 100")?;
                policy.read_touch_pct = percent as u8;
            }
            condition_word => exclusive(&mut condition, condition_word)?,
        }
    }
    if !said {
        return Err(Error::argument(
            prefix,
            "a policy says TTL milliseconds, or TTL NONE for documents that live on",
        ));
    }
    policy.validate()?;
    call.host.permits_prefix(prefix)?;
    let exists = call.host.policies().get(prefix).is_some();
    if matches!((exists, condition), (true, Some("NX")) | (false, Some("XX"))) {
        call.reply.null();
        return Ok(());
    }
    let now = call.now();
    if call.host.policies_mut().set(prefix, policy, now)? {
        call.change_policies();
    }
    let version = call.host.policies().get(prefix).map(|policy| policy.version);
    integer_or_null(&mut call.reply, version);
    Ok(())
}

fn prefix<'a>(call: &mut Call<'a>) -> Result<&'a [u8], Error> {
    let prefix = call.args.word()?;
    check_prefix(prefix)?;
    Ok(prefix)
}

pub(super) static GET: Command = Command {
    subcommand: Some("GET"),
    summary: "Tells the policy of exactly this prefix.",
    args: &[PREFIX],
    reply: "names and values in turn, spans in milliseconds, nil for none; nil without a policy",
    run: get,
    ..FAMILY
};

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let prefix = call.args.word()?;
    match call.host.policies().get(prefix) {
        Some(policy) => describe(&mut call.reply, prefix, policy),
        None => call.reply.null(),
    }
    Ok(())
}

fn describe(reply: &mut dyn Reply, prefix: &[u8], policy: &Policy) {
    reply.array(12);
    reply.bulk(b"prefix");
    reply.bulk(prefix);
    reply.bulk(b"ttl");
    integer_or_null(reply, policy.window);
    reply.bulk(b"refresh");
    reply.bulk(policy.refresh.refresh_text().as_bytes());
    reply.bulk(b"absolute");
    integer_or_null(reply, policy.absolute);
    reply.bulk(b"read-touch-pct");
    reply.integer(i64::from(policy.read_touch_pct));
    reply.bulk(b"version");
    reply.integer(policy.version);
}

pub(super) static DEL: Command = Command {
    subcommand: Some("DEL"),
    summary: "Removes the policy of a prefix; deadlines stay as they are.",
    access: Access::Configure,
    args: &[PREFIX],
    reply: "1 when there was one, else 0",
    run: del,
    ..FAMILY
};

fn del(call: &mut Call<'_>) -> Result<(), Error> {
    let prefix = call.args.word()?;
    call.host.permits_prefix(prefix)?;
    let removed = call.host.policies_mut().remove(prefix);
    if removed {
        call.change_policies();
    }
    call.reply.integer(i64::from(removed));
    Ok(())
}

pub(super) static LIST: Command = Command {
    subcommand: Some("LIST"),
    summary: "Tells every policy of the database.",
    reply: "an array of what POLICY GET answers",
    run: list,
    ..FAMILY
};

fn list(call: &mut Call<'_>) -> Result<(), Error> {
    let policies = call.host.policies().iter();
    call.reply.array(policies.len());
    for (prefix, policy) in policies {
        describe(&mut call.reply, prefix, policy);
    }
    Ok(())
}

pub(super) static MATCH: Command = Command {
    subcommand: Some("MATCH"),
    summary: "Tells which policy covers a key.",
    args: &[Arg::new("key", Kind::Text)],
    reply: "the prefix; nil when none covers it",
    run: match_key,
    ..FAMILY
};

fn match_key(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.args.word()?;
    match call.host.policies().find_prefix(key) {
        Some(prefix) => call.reply.bulk(prefix),
        None => call.reply.null(),
    }
    Ok(())
}

pub(super) static DIGEST: Command = Command {
    subcommand: Some("DIGEST"),
    summary: "Tells policies apart: differs when any of them differs.",
    reply: "sixteen hex digits",
    run: digest,
    ..FAMILY
};

fn digest(call: &mut Call<'_>) -> Result<(), Error> {
    let digest = call.host.policies().digest();
    call.reply.bulk(digest.as_bytes());
    Ok(())
}
