//! Active defragmentation: every allocation of a document offered to its host to be moved, a slice at a time.

use std::ops::ControlFlow;

/// How many allocations are offered between two looks at the clock.
const SLICE: usize = 16;

/// What moves allocations to where memory is less fragmented, or leaves them where they are.
pub trait Mover {
    fn vec<T>(&mut self, vec: &mut Vec<T>);

    fn boxed<T>(&mut self, value: &mut Box<T>);

    /// Whether the rest has to wait.
    fn should_stop(&mut self) -> bool;

    fn bytes(&mut self, bytes: &mut Box<[u8]>) {
        // As long as its capacity, so there and back is no copy.
        let mut vec = std::mem::take(bytes).into_vec();
        self.vec(&mut vec);
        *bytes = vec.into_boxed_slice();
    }
}

/// One walk over a document's parts, always in the same order. It passes over those before `from`: so a walk that
/// was stopped goes on, and one over a document that changed meanwhile misses some or offers some again.
pub(crate) struct Sweep<'m, M> {
    mover: &'m mut M,
    from: usize,
    at: usize,
}

impl<'m, M: Mover> Sweep<'m, M> {
    pub(crate) fn new(mover: &'m mut M, from: usize) -> Self {
        Self { mover, from, at: 0 }
    }

    /// Where to go on after a stop.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Visits the next part.
    pub(crate) fn part(&mut self, offer: impl FnOnce(&mut M)) -> ControlFlow<()> {
        if let Some(done) = self.at.checked_sub(self.from) {
            if done > 0 && done.is_multiple_of(SLICE) && self.mover.should_stop() {
                return ControlFlow::Break(());
            }
            offer(self.mover);
        }
        self.at += 1;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Document;

    /// Puts everything into fresh allocations, and stops whenever it is asked.
    #[derive(Default)]
    struct Copier {
        moved: HashSet<usize>,
    }

    impl Copier {
        fn note<T>(&mut self, start: *const T, capacity: usize) {
            if capacity > 0 {
                assert!(self.moved.insert(start.addr()), "offered twice");
            }
        }
    }

    impl Mover for Copier {
        fn vec<T>(&mut self, vec: &mut Vec<T>) {
            let mut fresh = Vec::with_capacity(vec.capacity());
            fresh.append(vec);
            self.note(fresh.as_ptr(), fresh.capacity());
            // The old one stays for the while, so that no address comes again.
            std::mem::forget(std::mem::replace(vec, fresh));
        }

        fn boxed<T>(&mut self, value: &mut Box<T>) {
            self.note(&raw const **value, size_of::<T>());
        }

        fn should_stop(&mut self) -> bool {
            true
        }
    }

    fn swept(text: &str) -> (usize, usize) {
        let mut document = Document::new(text.as_bytes(), 1).unwrap();
        let mut copier = Copier::default();
        let mut stops = 0;
        let mut from = 0;
        while let Some(next) = document.defragment(from, &mut copier) {
            assert_eq!(next, from + SLICE);
            from = next;
            stops += 1;
        }
        assert_eq!(&*document.text(), text.as_bytes());
        document.check();
        (copier.moved.len(), stops)
    }

    #[test]
    fn every_allocation_is_offered_once_over_as_many_slices_as_it_takes() {
        assert_eq!(swept("[1,2]"), (1, 0));
        let names: Vec<String> = (0..200).map(|at| format!("\"name {at}\":[{at}]")).collect();
        let object = format!("{{{}}}", names.join(","));
        let array = format!("[{}]", [object.as_str(); 3].join(","));
        let (flat, _) = swept(&object);
        let (nested, stops) = swept(&array);
        assert!(flat > object.len() / 64, "{flat}");
        assert!(nested > 3 * flat, "{nested} {flat}");
        assert!(stops >= nested / SLICE, "{stops}");
    }
}
