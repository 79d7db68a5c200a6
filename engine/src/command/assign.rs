//! How values are set and removed at paths, one or several.

use std::borrow::Cow;

use crate::json::{self, Kind};
use crate::limits::Bound;
use crate::node::{Edit, Node};
use crate::path::{Name, Path, Step};
use crate::{Draft, Error};

/// When a value is set.
#[derive(Clone, Copy)]
pub(super) enum Only {
    /// Where there is none: `NX`.
    Missing,
    /// Where there is one: `XX`.
    Present,
    /// Where that changes the text.
    Different,
}

impl Only {
    /// What an option stands for.
    pub(super) fn of(option: &str) -> Self {
        if option == "NX" { Self::Missing } else { Self::Present }
    }

    fn is_met(self, found: Option<Node<'_>>, value: &[u8]) -> bool {
        match self {
            Self::Missing => found.is_none(),
            Self::Present => found.is_some(),
            Self::Different => is_another(found, value),
        }
    }
}

/// Whether a text is not the value's.
pub(super) fn is_another(found: Option<Node<'_>>, text: &[u8]) -> bool {
    found.is_none_or(|found| found.len() != text.len() || *found.text() != *text)
}

/// Sets the value at a path, which may be that of a new member, unless the condition forbids it; whether it did.
pub(super) fn assign(
    document: &mut Draft<'_>,
    path: &Path,
    value: &[u8],
    only: Option<Only>,
) -> Result<bool, Error> {
    let Some((last, above)) = path.steps().split_last() else {
        let met = only.is_none_or(|only| only.is_met(Some(document.root()), value));
        if met {
            document.replace(value)?;
        }
        return Ok(met);
    };
    let done = match last {
        Step::Name(name) => document.edit(above, |parent| {
            let found = parent.kind();
            if found != Kind::Object {
                return Err(Error::bad_type(path, "an object around its last step", found));
            }
            let met = only.is_none_or(|only| only.is_met(parent.child(last), value));
            Ok((met, met.then_some(Edit::Put { name, value })))
        })?,
        Step::Index(_) | Step::Filter(_) => document.edit(path.steps(), |found| {
            let met = only.is_none_or(|only| only.is_met(Some(found), value));
            Ok((met, met.then(|| Edit::Set(value.into()))))
        })?,
    };
    if let Some(done) = done {
        return Ok(done);
    }
    Err(match (last, document.root().find(above)?.map(Node::kind)) {
        (Step::Index(_) | Step::Filter(_), Some(found)) if found != Kind::Array => {
            Error::bad_type(path, "an array around its last step", found)
        }
        _ => Error::no_path(path),
    })
}

/// Sets values at paths one after the other, all or none.
pub(super) fn assign_all(
    document: &mut Draft<'_>,
    assignments: &[(Path, Cow<'_, [u8]>)],
) -> Result<(), Error> {
    let assign_each = |document: &mut Draft<'_>| {
        assignments.iter().try_for_each(|(path, value)| assign(document, path, value, None).map(drop))
    };
    if assignments.len() < 2 || none_can_fail(document, assignments) {
        return assign_each(document);
    }
    document.edit_or_restore(assign_each)
}

/// Whether every assignment is possible as the document is now, none changes what another one needs, and there is
/// room for all of them.
fn none_can_fail(document: &Draft<'_>, assignments: &[(Path, Cow<'_, [u8]>)]) -> bool {
    let mut claims = Claims::new(document);
    let claim_each = assignments.iter().try_for_each(|(path, value)| {
        let place = if path.is_root() { None } else { claims.goal(path) };
        claims.claim(path, place?, false, value.len())
    });
    claim_each.is_some() && claims.are_apart()
}

/// What a list of edits needs of a document as it is before the first of them. Where all of it is there, and in places
/// apart, no edit can fail: then they need no copy of the document to go back to, which would cost its size.
pub(super) struct Claims<'d> {
    root: Node<'d>,
    /// By how many bytes the document may still grow.
    room: Bound,
    /// Where values change, and whether a set must be there.
    places: Vec<(Path, bool)>,
    /// The arrays that filters select elements of, and the steps to the members that they compare.
    filters: Vec<(Path, Step)>,
}

impl<'d> Claims<'d> {
    pub(super) fn new(document: &'d Draft<'_>) -> Self {
        Self { root: document.root(), room: document.room(), places: Vec::new(), filters: Vec::new() }
    }

    /// Where a value assigned to a path gets; `None` where assigning fails.
    pub(super) fn goal(&self, path: &Path) -> Option<Path> {
        match path.split_last() {
            Some((above, last @ Step::Name(_))) => {
                let (parent, node) = self.resolve(&above).ok()??;
                (node.kind() == Kind::Object).then(|| parent.join(last.clone()))
            }
            _ => self.resolve(path).ok()?.map(|(place, _)| place),
        }
    }

    /// The value at a path, and where it is with every index counted from the start.
    pub(super) fn resolve(&self, path: &Path) -> Result<Option<(Path, Node<'d>)>, Error> {
        self.root.resolve(path.steps())
    }

    /// Notes an edit at a path, not an ambiguous one, that changes `place` and adds `bytes` there; `None` where there is no
    /// room for them, or the path may become ambiguous.
    pub(super) fn claim(&mut self, path: &Path, place: Path, of_set: bool, bytes: usize) -> Option<()> {
        let name = match path.steps().last() {
            Some(Step::Name(name)) => name.len() + 2,
            _ => 0,
        };
        self.room.check(name + bytes).ok()?;
        self.room = self.room.less(name + bytes);
        for (at, step) in path.steps().iter().enumerate() {
            if let Step::Filter(filter) = step {
                let (array, _) = self.resolve(&Path::from(&path.steps()[..at])).ok()??;
                self.filters.push((array, filter.member.clone()));
            }
        }
        self.places.push((place, of_set));
        Some(())
    }

    /// Whether no edit changes what another one needs.
    pub(super) fn are_apart(mut self) -> bool {
        if self.places.len() > 1 && !self.filters.iter().all(|(array, member)| self.keeps(array, member)) {
            return false;
        }
        self.places.sort_unstable();
        // What lies in another place follows it in this order.
        self.places.windows(2).all(|pair| {
            let [(place, of_set), (next, next_of_set)] = pair else { return true };
            if place == next { of_set == next_of_set } else { !next.steps().starts_with(place.steps()) }
        })
    }

    /// Whether a filter by a member of the elements of an array selects the same ones after all edits.
    fn keeps(&self, array: &Path, member: &Step) -> bool {
        let array = array.steps();
        self.places.iter().map(|(place, _)| place.steps()).all(|place| match place.strip_prefix(array) {
            Some([_, step, ..]) => step != member,
            // An element as a whole, or the array.
            Some(_) => false,
            None => !array.starts_with(place),
        })
    }
}

/// Merges a patch of RFC 7396 into the value at a path, all of it or nothing.
pub(super) fn merge(document: &mut Draft<'_>, at: &Path, patch: &[u8]) -> Result<(), Error> {
    // The element that a filter selects stays the one, whatever of it changes.
    let (at, target) = match document.root().resolve(at.steps())? {
        Some((place, node)) => (&place.clone(), Some(node.kind())),
        None => (at, None),
    };
    if target != Some(Kind::Object) || json::kind(patch) != Kind::Object {
        return assign(document, at, &without_nulls(patch), None).map(drop);
    }
    let mut steps = at.steps().to_vec();
    let mut all = |document: &mut Draft<'_>| merge_members(document, &mut steps, patch, 0).map(drop);
    // What is added is bytes of the patch; nothing but the want of room for them can fail.
    if patch.len() <= document.room().bytes { all(document) } else { document.edit_or_restore(all) }
}

/// Merges the object of a patch at `at` into the object that `steps` lead to: where it ends in the patch. No deeper than
/// a document.
fn merge_members(
    document: &mut Draft<'_>,
    steps: &mut Vec<Step>,
    patch: &[u8],
    at: usize,
) -> Result<usize, Error> {
    let mut at = at + 1;
    while patch[at] != b'}' {
        let value = json::skip(patch, at) + 1;
        let name = Name::from_slice(&patch[at..value - 1]);
        steps.push(Step::Name(name.clone()));
        match patch[value] {
            b'n' => {
                document.edit(steps, |_| Ok(((), Some(Edit::Remove))))?;
                steps.pop();
                at = value + b"null".len();
            }
            b'{' if document.root().find(steps)?.map(Node::kind) == Some(Kind::Object) => {
                at = merge_members(document, steps, patch, value)?;
                steps.pop();
            }
            b'{' => {
                let mut made = Vec::new();
                at = push_without_nulls(patch, value, &mut made);
                steps.pop();
                document.edit(steps, |_| Ok(((), Some(Edit::Put { name: &name, value: &made }))))?;
            }
            _ => {
                at = json::skip(patch, value);
                steps.pop();
                let value = &patch[value..at];
                document.edit(steps, |_| Ok(((), Some(Edit::Put { name: &name, value }))))?;
            }
        }
        at += usize::from(patch[at] == b',');
    }
    Ok(at + 1)
}

/// A patch as the value it makes where there was none: without the members that are null.
fn without_nulls(patch: &[u8]) -> Cow<'_, [u8]> {
    if json::kind(patch) != Kind::Object {
        return patch.into();
    }
    let mut text = Vec::with_capacity(patch.len());
    push_without_nulls(patch, 0, &mut text);
    text.into()
}

/// Adds the object of a patch at `at`: where it ends. No deeper than a document, and each byte is looked at once.
fn push_without_nulls(patch: &[u8], at: usize, text: &mut Vec<u8>) -> usize {
    let start = text.len();
    let mut at = at;
    while patch[at] != b'}' {
        at += 1;
        if patch[at] == b'}' {
            break;
        }
        let value = json::skip(patch, at) + 1;
        if patch[value] == b'n' {
            at = value + b"null".len();
            continue;
        }
        text.push(if text.len() == start { b'{' } else { b',' });
        text.extend_from_slice(&patch[at..value]);
        if patch[value] == b'{' {
            at = push_without_nulls(patch, value, text);
        } else {
            at = json::skip(patch, value);
            text.extend_from_slice(&patch[value..at]);
        }
    }
    if text.len() == start {
        text.push(b'{');
    }
    text.push(b'}');
    at + 1
}

/// Removes the value at a path; whether there was one.
pub(super) fn remove(document: &mut Draft<'_>, path: &Path) -> Result<bool, Error> {
    Ok(document.edit(path.steps(), |_| Ok(((), Some(Edit::Remove))))?.is_some())
}
