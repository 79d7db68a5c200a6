//! Registration: what the server is told of each row of the engine's table.

use std::collections::BTreeSet;

use rapyer_engine::Groups;
use rapyer_engine::command::{Access, Command, Entry, Keys, TABLE, entries};
use redis_module::raw;

use crate::ffi::{Commands, Context, Description, FindKeys, KeySpec, Positions, Word};
use crate::replay;

/// The ACL category of all our commands.
const CATEGORY: &str = "model";

pub(crate) fn commands(context: Context<'_>) -> Result<(), String> {
    let commands = Commands::new(context, CATEGORY);
    let mut containers = BTreeSet::new();
    for entry in entries() {
        if entry.command.subcommand.is_some() && containers.insert(entry.command.name) {
            container(commands, entry)?;
        }
        client_command(commands, entry)?;
    }
    for (at, internal) in replay::COMMANDS.iter().enumerate() {
        commands.internal(at, internal.name, internal.flags, internal.positions)?;
    }
    Ok(())
}

fn client_command(commands: Commands<'_>, entry: Entry) -> Result<(), String> {
    let Entry { command, twin } = entry;
    let row = TABLE.iter().position(|row| std::ptr::eq(*row, command)).ok_or("a row is not in the table")?;
    let name = entry.name().to_ascii_lowercase();
    let flags = flags(command);
    match command.subcommand {
        None => commands.row(row, twin, &name, &flags, positions(command))?,
        Some(subcommand) => {
            let subcommand = subcommand.to_ascii_lowercase();
            commands.subcommand(row, &name, &subcommand, &flags, positions(command))?;
        }
    }
    let name = entry.full_name();
    commands.describe(
        &name,
        &Description {
            summary: command.summary,
            arity: command.arity(),
            keys: key_specs(command),
            arguments: command.arguments().filter(|argument| !twin || argument.name != "NOREFRESH").collect(),
        },
    )?;
    commands.categorize(&name, categories(command.access), CATEGORY)
}

fn container(commands: Commands<'_>, entry: Entry) -> Result<(), String> {
    let name = entry.name().to_ascii_lowercase();
    commands.container(&name)?;
    let summary = format!("A container for {} commands", entry.name());
    commands.describe(
        &name,
        &Description { summary: &summary, arity: -2, keys: Vec::new(), arguments: Vec::new() },
    )?;
    commands.categorize(&name, "slow", CATEGORY)
}

fn flags(command: &Command) -> String {
    let access = match command.access {
        // A refresh is the server's own doing, as expiry is: what a client asks for is a read.
        Access::Read | Access::Inspect => "readonly",
        Access::Grow => "write deny-oom",
        Access::Write => "write",
        Access::Configure => "write admin",
    };
    if finds_own_keys(command) { format!("{access} getkeys-api") } else { access.to_owned() }
}

/// Whether the server asks the command's callback where the keys of a call are: a cluster routes by these answers
/// or by a range of positions, never by key specs, and a range cannot follow a count.
pub(crate) fn finds_own_keys(command: &Command) -> bool {
    command.keys == Keys::Counted
}

/// The positions of the keys in a call whose arguments start at `first`, and what the command does to them.
pub(crate) fn key_positions(command: &Command, words: &[Word<'_>], first: usize) -> (Vec<usize>, u32) {
    let args: Vec<&[u8]> = words.iter().skip(first).map(|word| word.bytes()).collect();
    (command.keys.range(&args).map(|at| first + at).collect(), key_flags(command))
}

fn categories(access: Access) -> &'static str {
    match access {
        Access::Read | Access::Inspect => "read slow",
        Access::Grow | Access::Write => "write slow",
        Access::Configure => "write slow admin dangerous",
    }
}

/// The keys of a command and what it does to them.
fn key_specs(command: &Command) -> Vec<KeySpec> {
    let first = first_key(command);
    let spec = |first, find, flags| KeySpec { first, find, flags };
    match command.keys {
        Keys::None => Vec::new(),
        Keys::First => vec![spec(first, FindKeys::One, key_flags(command))],
        Keys::FromTo => vec![
            spec(first, FindKeys::One, raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS),
            spec(first + 1, FindKeys::One, raw::REDISMODULE_CMD_KEY_OW | raw::REDISMODULE_CMD_KEY_UPDATE),
        ],
        Keys::All => vec![spec(first, FindKeys::Rest, key_flags(command))],
        Keys::Counted => vec![spec(first, FindKeys::Counted, key_flags(command))],
    }
}

/// What the command does to its keys, which is what an ACL's key permissions look at: whether it tells what is
/// there, and one of inserting, updating and deleting.
fn key_flags(command: &Command) -> u32 {
    if command.access == Access::Read {
        return raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS;
    }
    let groups = command.groups | command.special.map_or(Groups::empty(), |(_, groups)| groups);
    if groups == Groups::DELETE {
        return raw::REDISMODULE_CMD_KEY_RM | raw::REDISMODULE_CMD_KEY_DELETE;
    }
    let effect = if groups.contains(Groups::ERASE) {
        raw::REDISMODULE_CMD_KEY_DELETE
    } else if groups.contains(Groups::APPEND) || groups.difference(Groups::LOOKING) == Groups::CREATE {
        raw::REDISMODULE_CMD_KEY_INSERT
    } else {
        raw::REDISMODULE_CMD_KEY_UPDATE
    };
    let told = if command.tells { raw::REDISMODULE_CMD_KEY_ACCESS } else { 0 };
    raw::REDISMODULE_CMD_KEY_RW | effect | told
}

/// Where the first key is, or the number of them, counted from the command's name.
pub(crate) fn first_key(command: &Command) -> i32 {
    1 + i32::from(command.subcommand.is_some())
}

fn positions(command: &Command) -> Positions {
    let first = first_key(command);
    match command.keys {
        // Where a count says how many there are, the callback tells.
        Keys::None | Keys::Counted => (0, 0, 0),
        Keys::First => (first, first, 1),
        Keys::FromTo => (first, first + 1, 1),
        Keys::All => (first, -1, 1),
    }
}
