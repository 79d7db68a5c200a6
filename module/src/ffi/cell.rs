//! State of the whole server.

use std::cell::{Ref, RefCell, RefMut};

/// A value that only the server's callbacks reach.
pub(crate) struct ServerCell<T>(RefCell<T>);

// SAFETY: commands, events and the type's callbacks for whole databases run under the server's global lock, or
// in a forked child that has one thread. The callback that frees values in the background reaches no cell.
unsafe impl<T> Sync for ServerCell<T> {}

impl<T> ServerCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}
