//! What a command answers: written straight into the host's buffer, or recorded as a value.

use crate::Version;

/// A sink for one reply. After `array(n)` exactly `n` replies follow.
///
/// A command writes its reply only once nothing can fail any more, so a host never has to take one back.
pub trait Reply {
    fn null(&mut self);
    fn ok(&mut self);
    fn integer(&mut self, value: i64);
    fn bulk(&mut self, value: &[u8]);
    fn array(&mut self, len: usize);
}

/// A command's own reply, and behind it a document's version where that was asked for.
pub(crate) struct Answer<'a> {
    reply: &'a mut dyn Reply,
    /// A version is to follow, and nothing was answered yet.
    announced: bool,
    /// A version is to follow.
    versioned: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(reply: &'a mut dyn Reply) -> Self {
        Self { reply, announced: false, versioned: false }
    }

    /// Has a version follow. Called before anything is answered: the host hears of it with the first word, as a command
    /// may still fail.
    pub(crate) fn announce_version(&mut self) {
        (self.announced, self.versioned) = (true, true);
    }

    pub(crate) fn awaits_version(&self) -> bool {
        self.versioned
    }

    /// Answers the version that was announced; nil where there is no document.
    pub(crate) fn version(&mut self, version: Option<Version>) {
        match version {
            Some(version) => self.reply.bulk(version.to_string().as_bytes()),
            None => self.reply.null(),
        }
    }

    fn open(&mut self) -> &mut dyn Reply {
        if std::mem::take(&mut self.announced) {
            self.reply.array(2);
        }
        self.reply
    }
}

impl Reply for Answer<'_> {
    fn null(&mut self) {
        self.open().null();
    }

    fn ok(&mut self) {
        self.open().ok();
    }

    fn integer(&mut self, value: i64) {
        self.open().integer(value);
    }

    fn bulk(&mut self, value: &[u8]) {
        self.open().bulk(value);
    }

    fn array(&mut self, len: usize) {
        self.open().array(len);
    }
}

/// A reply as a value, for hosts that hand it on and for batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Ok,
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
}

impl Value {
    /// About how many bytes it takes: those of its texts, and a few for anything else.
    pub(crate) fn len(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Ok | Self::Integer(_) => 0,
                Self::Bulk(value) => value.len(),
                Self::Array(items) => items.iter().map(Self::len).sum(),
            }
    }

    /// Writes it as one reply.
    pub fn write(&self, reply: &mut dyn Reply) {
        match self {
            Self::Null => reply.null(),
            Self::Ok => reply.ok(),
            Self::Integer(value) => reply.integer(*value),
            Self::Bulk(value) => reply.bulk(value),
            Self::Array(items) => {
                reply.array(items.len());
                for item in items {
                    item.write(reply);
                }
            }
        }
    }
}

/// Records one reply.
#[derive(Debug, Default)]
pub struct Recorder {
    open: Vec<(usize, Vec<Value>)>,
    done: Option<Value>,
}

impl Recorder {
    /// The recorded reply; null when nothing was written.
    pub fn into_value(self) -> Value {
        self.done.unwrap_or(Value::Null)
    }

    fn push(&mut self, mut value: Value) {
        while let Some((len, items)) = self.open.last_mut() {
            items.push(value);
            if items.len() < *len {
                return;
            }
            let Some((_, items)) = self.open.pop() else {
                return;
            };
            value = Value::Array(items);
        }
        self.done = Some(value);
    }
}

impl Reply for Recorder {
    fn null(&mut self) {
        self.push(Value::Null);
    }

    fn ok(&mut self) {
        self.push(Value::Ok);
    }

    fn integer(&mut self, value: i64) {
        self.push(Value::Integer(value));
    }

    fn bulk(&mut self, value: &[u8]) {
        self.push(Value::Bulk(value.to_vec()));
    }

    fn array(&mut self, len: usize) {
        if len == 0 {
            self.push(Value::Array(Vec::new()));
        } else {
            self.open.push((len, Vec::with_capacity(len)));
        }
    }
}

/// A sink for nobody: replayed commands have no reader.
#[derive(Debug, Default)]
pub struct Discard;

impl Reply for Discard {
    fn null(&mut self) {}
    fn ok(&mut self) {}
    fn integer(&mut self, _value: i64) {}
    fn bulk(&mut self, _value: &[u8]) {}
    fn array(&mut self, _len: usize) {}
}
