//! A long list that can be frozen at once and is copied piecemeal, only where it changes afterwards.

use std::sync::Arc;

/// Entries of a chunk: what the first change after a freeze copies. Few enough for the thousands of users that are
/// changed within one batch not to copy all of a million, enough for those to be frozen with 16,000 counts.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: usize = 6;

/// A list in chunks, each shared with the frozen copies until it is changed.
#[derive(Debug, Clone)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Arc<[T]>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone + Default> Chunks<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> &T {
        &self.chunks[at >> SHIFT][at & (CHUNK - 1)]
    }

    /// Copies the entry's chunk first if a frozen copy holds it.
    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[at >> SHIFT])[at & (CHUNK - 1)]
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.len == self.chunks.len() << SHIFT {
            self.chunks.push(std::iter::repeat_with(T::default).take(CHUNK).collect());
        }
        self.len += 1;
        *self.get_mut(self.len - 1) = entry;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.len)
    }

    /// Bytes held, without what the entries own.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_copy_keeps_what_it_had() {
        let mut list: Chunks<u32> = Chunks::default();
        (0..3_000).for_each(|at| list.push(at));
        let frozen = list.clone();
        *list.get_mut(1_500) = 7;
        list.push(8);
        assert_eq!((frozen.len(), *frozen.get(1_500), *frozen.get(2_999)), (3_000, 1_500, 2_999));
        assert_eq!((list.len(), *list.get(1_500), *list.get(3_000)), (3_001, 7, 8));
        assert!(frozen.iter().copied().eq(0..3_000));
    }
}
