//! Shared handles to events, single or in batches.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// An event that all subscribers share. It is a cheap handle, which keeps the batch of the event
/// alive.
pub struct SharedEvent<T> {
    pub(super) events: Arc<[T]>,
    pub(super) index: usize,
}

/// Events that were published together, oldest first, as a slice. All subscribers share them.
pub struct EventBatch<T> {
    pub(super) first: u64,
    pub(super) events: Arc<[T]>,
    pub(super) range: Range<usize>,
}

impl<T> EventBatch<T> {
    /// The number of the first event, counted from 0 over all published events: the same for every
    /// subscriber.
    pub const fn first(&self) -> u64 {
        self.first + self.range.start as u64
    }
}

impl<T> Deref for EventBatch<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.events[self.range.clone()]
    }
}

impl<'a, T> IntoIterator for &'a EventBatch<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Deref for SharedEvent<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.events[self.index]
    }
}

/// Equal if the events are, whether or not they are shared.
impl<T: PartialEq> PartialEq for SharedEvent<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for SharedEvent<T> {}

impl<T: Hash> Hash for SharedEvent<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T> AsRef<T> for SharedEvent<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> Clone for SharedEvent<T> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            index: self.index,
        }
    }
}

impl<T> Clone for EventBatch<T> {
    fn clone(&self) -> Self {
        Self {
            first: self.first,
            events: self.events.clone(),
            range: self.range.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedEvent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for EventBatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
