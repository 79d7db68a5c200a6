//! A document outside of any keyspace, for a client that remembers what a server holds and does to it what the
//! server did.

use crate::command::{self, Keys};
use crate::host::{Done, Host};
use crate::journal::{self, Change, Difference};
use crate::{Document, Draft, Error, Header, Limits, Path, Policies, Recorder, Time, Value, json};

/// A document, or none, whatever key it is under: nothing expires here, and no policy is asked.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    document: Option<Document>,
    policies: Policies,
}

impl Mirror {
    /// The document of a JSON text.
    pub fn new(text: &[u8]) -> Result<Self, Error> {
        let document = Document::restore(Header { created: 1, version: 1, window: None }, text)?;
        Ok(Self { document: Some(document), policies: Policies::default() })
    }

    /// The canonical text; `None` where there is no document.
    pub fn text(&self) -> Option<Vec<u8>> {
        self.document.as_ref().map(|document| document.text().into_owned())
    }

    /// Readies the document for looks below its root, which then do not cost its size.
    pub fn break_up(&mut self) {
        if let Some(document) = &mut self.document {
            document.break_up();
        }
    }

    /// The text of the value at a path, where there is one.
    pub fn get(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let Some(document) = &self.document else { return Ok(None) };
        Ok(document.root().find(path.steps())?.map(|node| node.text().into_owned()))
    }

    /// Whether there is a value at a path.
    pub fn has(&self, path: &Path) -> Result<bool, Error> {
        let Some(document) = self.document.as_ref() else { return Ok(false) };
        Ok(document.root().find(path.steps())?.is_some())
    }

    /// Runs a command on one document: what it answers, and what it changed. On an error nothing changed.
    pub fn apply(&mut self, words: &[&[u8]]) -> Result<(Value, Vec<Change>), Error> {
        let (entry, names) = command::find(words)?;
        entry.check_arity(words.len() - names)?;
        if entry.command.keys != Keys::First {
            return Err(Error::argument(words[0], "not a command on one document"));
        }
        let mut reply = Recorder::default();
        let mut host = Opened { mirror: self, journal: Vec::new() };
        command::execute(entry, &words[names..], &mut host, &mut reply)?;
        let journal = host.journal;
        Ok((reply.into_value(), journal))
    }

    /// The values in which a JSON text differs from the document.
    pub fn differences(&self, text: &[u8]) -> Result<Vec<Difference>, Error> {
        let document = self.document.as_ref().ok_or(Error::NoKey)?;
        Ok(journal::differences(document.root(), &json::canonical(text, 0)?))
    }
}

/// The mirror for the time of one command.
struct Opened<'m> {
    mirror: &'m mut Mirror,
    journal: Vec<Change>,
}

impl Host for Opened<'_> {
    /// Any moment: nothing here depends on it.
    fn now(&self) -> Time {
        1
    }

    fn lease_time(&mut self) -> Time {
        self.now()
    }

    fn fence(&self) -> i64 {
        0
    }

    fn raise_fence(&mut self, _number: i64) {}

    fn decides(&self) -> bool {
        false
    }

    // What the server accepted is accepted here.
    fn limits(&self) -> &Limits {
        &Limits::TOP
    }

    fn read(&mut self, _key: &[u8]) -> Result<Option<&Document>, Error> {
        Ok(self.mirror.document.as_ref())
    }

    fn edit(&mut self, _key: &[u8]) -> Result<Option<Draft<'_>>, Error> {
        let Self { mirror, journal } = self;
        Ok(mirror.document.as_mut().map(|document| Limits::TOP.draft(document).noting_in(journal)))
    }

    fn insert(&mut self, _key: &[u8], document: Document) -> Result<(), Error> {
        let value = document.text().into_owned();
        self.journal.push(Change::Put { path: Path::default(), value });
        self.mirror.document = Some(document);
        Ok(())
    }

    fn remove(&mut self, _key: &[u8]) -> Result<bool, Error> {
        Ok(self.mirror.document.take().is_some())
    }

    fn deadline(&mut self, _key: &[u8]) -> Option<Time> {
        None
    }

    fn policies(&self) -> &Policies {
        &self.mirror.policies
    }

    fn policies_mut(&mut self) -> &mut Policies {
        &mut self.mirror.policies
    }

    fn finish(&mut self, _done: &Done<'_>) {}
}
