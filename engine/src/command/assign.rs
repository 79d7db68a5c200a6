//! How values are set and removed at paths, one or several.

use std::borrow::Cow;

use crate::json::{self, Kind};
use crate::node::{Edit, Node};
use crate::path::{Name, Path, Step};
use crate::{Draft, Error};

/// Sets the value at a path, which may be that of a new member, unless `NX` or `XX` forbids it; whether it did.
pub(super) fn assign(
    document: &mut Draft<'_>,
    path: &Path,
    value: &[u8],
    condition: Option<&str>,
) -> Result<bool, Error> {
    let Some((last, above)) = path.steps().split_last() else {
        return document.replace(value).map(|()| true);
    };
    let done = match last {
        Step::Name(name) => document.edit(above, |parent| {
            let found = parent.kind();
            if found != Kind::Object {
                return Err(Error::bad_type(path, "an object around its last step", found));
            }
            let exists = || parent.find(std::slice::from_ref(last)).is_some();
            let met = match condition {
                Some("NX") => !exists(),
                Some("XX") => exists(),
                _ => true,
            };
            Ok((met, met.then_some(Edit::Put { name, value })))
        })?,
        Step::Index(_) => document.edit(path.steps(), |_| {
            let met = condition != Some("NX");
            Ok((met, met.then(|| Edit::Set(value.into()))))
        })?,
    };
    done.ok_or_else(|| match (last, document.root().find(above).map(Node::kind)) {
        (Step::Index(_), Some(found)) if found != Kind::Array => {
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
    let mut room = document.room().bytes;
    let mut places = Vec::with_capacity(assignments.len());
    for (path, value) in assignments {
        let Some(last) = path.steps().last() else {
            return false;
        };
        let added = match last {
            Step::Name(name) => value.len() + name.len() + 2,
            Step::Index(_) => value.len(),
        };
        let (Some(place), Some(left)) = (goal(document.root(), path), room.checked_sub(added)) else {
            return false;
        };
        places.push(place);
        room = left;
    }
    places.sort_unstable();
    // What lies in another place follows it in this order.
    places.windows(2).all(|pair| pair[0] == pair[1] || !pair[1].steps().starts_with(pair[0].steps()))
}

/// Where a value assigned to a path gets, with every index counted from the start; `None` where assigning fails.
pub(super) fn goal(root: Node<'_>, path: &Path) -> Option<Path> {
    match path.steps().split_last() {
        Some((last @ Step::Name(_), above)) => root
            .resolve(above)
            .filter(|(_, parent)| parent.kind() == Kind::Object)
            .map(|(parent, _)| parent.join(last.clone())),
        _ => root.resolve(path.steps()).map(|(place, _)| place),
    }
}

/// Merges a patch of RFC 7396 into the value at a path, all of it or nothing.
pub(super) fn merge(document: &mut Draft<'_>, at: &Path, patch: &[u8]) -> Result<(), Error> {
    let target = document.root().find(at.steps()).map(Node::kind);
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
            b'{' if document.root().find(steps).map(Node::kind) == Some(Kind::Object) => {
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
