//! The batch: EXEC.

use smallvec::SmallVec;

use super::{Access, Arg, Call, Command, Entry, Keys, Kind, find, operate};
use crate::host::Host;
use crate::staged::Staged;
use crate::{Error, Groups, Recorder, Reply as _};

pub(super) static EXEC: Command = Command {
    name: "EXEC",
    subcommand: None,
    summary: "Runs several commands on documents as one: all of them, or none.",
    access: Access::Write,
    tells: true,
    // Each operation belongs to its own.
    groups: Groups::empty(),
    special: None,
    keys: Keys::Counted,
    args: &[
        Arg::new("numkeys", Kind::Count),
        Arg::new("key", Kind::Key).multiple(),
        Arg::new(
            "operation",
            Kind::Block(&[
                Arg::new("nargs", Kind::Count),
                Arg::new("command", Kind::Text),
                Arg::new("arg", Kind::Text).optional().multiple(),
            ]),
        )
        .multiple(),
    ],
    norefresh: false,
    ifversion: false,
    creates: false,
    reply: "an array of the operations' replies",
    run: exec,
};

fn exec(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = call.args.keys("EXEC takes the number of keys that follow, at least one")?;
    let mut operations = SmallVec::<[_; 8]>::new();
    while !call.args.is_empty() {
        operations.push(operation(call)?);
    }
    if operations.is_empty() {
        return Err(Error::argument(b"", "EXEC takes operations after its keys: nargs command arg ..."));
    }
    let mut replies = SmallVec::<[_; 4]>::with_capacity(operations.len());
    // The operations see the host through their own view, which ends before the batch takes effect.
    let mut staged = Staged::new(&mut *call.host, keys);
    for (at, words) in operations.iter().enumerate() {
        let mut reply = Recorder::default();
        run(words, &mut staged, &mut reply).map_err(|error| Error::Operation {
            number: at + 1,
            name: crate::error::printable(words[0]),
            error: Box::new(error),
        })?;
        let reply = reply.into_value();
        staged.hold(&reply);
        replies.push(reply);
    }
    // Each operation has decided about its deadlines, by the header that its document had then.
    call.touched = staged.commit();
    call.reply.array(replies.len());
    for reply in replies {
        reply.write(&mut call.reply);
    }
    Ok(())
}

/// The words of the next operation, its name first.
fn operation<'a>(call: &mut Call<'a>) -> Result<&'a [&'a [u8]], Error> {
    let left = i64::try_from(call.args.len()).unwrap_or(i64::MAX);
    let reason = "an operation starts with the number of its words, the command's name among them";
    let count = call.args.integer(1..=left - 1, reason)?;
    call.args.take(count as usize)
}

fn run(words: &[&[u8]], staged: &mut Staged<'_, '_>, reply: &mut Recorder) -> Result<(), Error> {
    let (entry, names) = find(words)?;
    if !batches(entry) {
        return Err(Error::argument(words[0], "not a command that a batch can hold"));
    }
    let args = &words[names..];
    entry.check_arity(args.len())?;
    if let Some(stranger) = args[entry.command.keys.range(args)].iter().find(|key| !staged.knows(key)) {
        return Err(Error::argument(stranger, "not among the keys that EXEC names at its start"));
    }
    staged.permits(words)?;
    if entry.command.access == Access::Grow {
        staged.expect_growth()?;
    }
    operate(entry, args, staged, reply)
}

/// Whether a batch can hold the command: it works on documents, and is no batch itself.
fn batches(entry: Entry) -> bool {
    entry.command.keys != Keys::None && !std::ptr::eq(entry.command, &raw const EXEC)
}
