//! What the module keeps beside the keys, the policies of every database and what locks need of the server, and how it
//! outlives a restart and reaches replicas.
//!
//! Snapshots carry it. A rewritten append-only file without a snapshot in it does not, so it is written once more
//! behind every rewrite.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::rc::Rc;

use rapyer_engine::{Error, Leases, Policies};

use crate::datatype;
use crate::ffi::{Audience, Context, Loader, Saver, ServerCell, Text, Word, call_later};

/// The command that replaces the policies of one database.
pub(crate) const POLICIES: &CStr = c"MODEL._POLICIES";

/// The command that replaces what locks need of the server.
pub(crate) const LEASES: &CStr = c"MODEL._LEASES";

/// Behind the command that runs, and long before a child process has rewritten the file.
const SOON_MS: i64 = 1;

/// How long to wait before looking again whether a pause is over.
const PAUSE_POLL_MS: i64 = 100;

static TABLES: ServerCell<Tables> = ServerCell::new(Tables { kept: Kept::new(), none: None, incoming: None });

#[derive(Debug)]
struct Tables {
    kept: Kept,
    /// What databases without policies share, from its first use on.
    none: Option<Rc<Policies>>,
    /// What a replica is being sent while it goes on serving what it has.
    incoming: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    by_database: BTreeMap<i32, Rc<Policies>>,
    leases: Leases,
}

impl Kept {
    const fn new() -> Self {
        Self { by_database: BTreeMap::new(), leases: Leases::new() }
    }

    /// The databases that have or had policies: the count of changes lives on.
    fn used(&self) -> impl Iterator<Item = (i32, &Policies)> {
        let unused = Policies::new();
        self.by_database
            .iter()
            .map(|(database, policies)| (*database, &**policies))
            .filter(move |(_, policies)| **policies != unused)
    }

    fn is_empty(&self) -> bool {
        self.used().next().is_none() && !self.leases.is_used()
    }
}

impl Tables {
    /// Where what is loaded goes.
    fn loading(&mut self) -> &mut Kept {
        self.incoming.as_mut().unwrap_or(&mut self.kept)
    }
}

/// The policies of a database, as they are now: what others set meanwhile is another table.
pub(crate) fn of(database: i32) -> Rc<Policies> {
    let tables = &mut *TABLES.borrow_mut();
    match tables.kept.by_database.get(&database) {
        Some(policies) => Rc::clone(policies),
        None => Rc::clone(tables.none.get_or_insert_default()),
    }
}

pub(crate) fn set(database: i32, policies: Rc<Policies>) {
    TABLES.borrow_mut().kept.by_database.insert(database, policies);
}

/// Puts a saved table in the place of a database's policies.
pub(crate) fn replace(database: u64, payload: &[u8]) -> Result<(), Error> {
    let database = i32::try_from(database).map_err(|_| {
        Error::range(database.to_string().as_bytes(), "the number of the policies' database is out of range")
    })?;
    let policies = Rc::new(Policies::from_bytes(payload)?);
    TABLES.borrow_mut().loading().by_database.insert(database, policies);
    Ok(())
}

/// Puts what was saved of the leases in the place of what there is.
pub(crate) fn replace_leases(payload: &[u8]) -> Result<(), Error> {
    let leases = Leases::from_bytes(payload)?;
    TABLES.borrow_mut().loading().leases = leases;
    Ok(())
}

/// Looks at the leases, or changes them.
pub(crate) fn with_leases<T>(look: impl FnOnce(&mut Leases) -> T) -> T {
    look(&mut TABLES.borrow_mut().kept.leases)
}

/// Loading replaces everything: what the data to be loaded does not bring is gone.
pub(crate) fn loading_starts() {
    *TABLES.borrow_mut().loading() = Kept::new();
}

/// What is loaded from here on stays aside until it is complete.
pub(crate) fn loading_aside_starts() {
    TABLES.borrow_mut().incoming = Some(Kept::new());
}

/// What was loaded aside takes the place of what there is, if it is complete.
pub(crate) fn loading_aside_ends(complete: bool) {
    let tables = &mut *TABLES.borrow_mut();
    if let Some(incoming) = tables.incoming.take()
        && complete
    {
        tables.kept = incoming;
    }
}

pub(crate) fn save(saver: &mut Saver) {
    let kept = &TABLES.borrow().kept;
    saver.unsigned(kept.used().count() as u64);
    for (database, policies) in kept.used() {
        saver.unsigned(database as u64);
        saver.bytes(&policies.to_bytes());
    }
    saver.bytes(kept.leases.to_bytes().as_ref());
}

/// A server without the module can still load a snapshot in which nothing was written.
pub(crate) fn save_if_any(saver: &mut Saver) {
    let any = !TABLES.borrow().kept.is_empty();
    if any {
        save(saver);
    }
}

pub(crate) fn load(loader: &mut Loader, encoding: i32) -> Result<(), String> {
    datatype::check_version("policies", encoding)?;
    let short = || "the saved policies end early".to_owned();
    let count = loader.unsigned().ok_or_else(short)?;
    for _ in 0..count {
        let database = loader.unsigned().ok_or_else(short)?;
        loader
            .bytes(|payload| replace(database, payload))
            .ok_or_else(short)?
            .map_err(|error| format!("the saved policies cannot be loaded: {error}"))?;
    }
    if encoding == 1 {
        return Ok(());
    }
    loader
        .bytes(replace_leases)
        .ok_or_else(short)?
        .map_err(|error| format!("what was saved of locks cannot be loaded: {error}"))
}

/// A rewrite of the append-only file has begun. Nothing else that a child process does wants policies appended:
/// Valkey gives up a migration of slots when a module replicates what belongs to no slot.
pub(crate) fn rewrite_starts(context: Context<'_>) {
    if context.rewrites_append_only_file() {
        // Not now: a command that starts a rewrite would count as one that wrote, and be replicated with its words.
        call_later(context, SOON_MS, append_behind_rewrite);
    }
}

/// Appends it to the append-only file, behind what the child process writes.
///
/// The parent does it: the file that a child writes has no place for them where there are no documents.
fn append_behind_rewrite(context: Context<'_>) {
    let kept = &TABLES.borrow().kept;
    if kept.is_empty() || !context.flags().keeps_append_only_file() {
        return;
    }
    if context.must_not_replicate() {
        call_later(context, PAUSE_POLL_MS, append_behind_rewrite);
        return;
    }
    for (database, policies) in kept.used() {
        let words = [Text::number(i64::from(database)), Text::new(&policies.to_bytes())];
        let words: Vec<Word<'_>> = words.iter().map(Text::word).collect();
        context.replicate(POLICIES, &words, Audience::AppendOnlyFile);
    }
    let leases = Text::new(kept.leases.to_bytes().as_ref());
    context.replicate(LEASES, &[leases.word()], Audience::AppendOnlyFile);
}
