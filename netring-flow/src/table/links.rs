//! Lists of flows whose links are in the slab. A flow is in at most one list of each kind.

use super::Slot;
use super::node::{HEAD, NONE, Node};
use super::slab::Slab;

/// Lists of one kind. Each is a ring of its members and its head.
#[derive(Debug)]
pub(crate) struct Lists<const KIND: usize> {
    heads: Box<[Node]>,
}

impl<const KIND: usize> Lists<KIND> {
    pub(crate) fn new(count: usize) -> Self {
        let empty = |list| Node {
            previous: list | HEAD,
            next: list | HEAD,
        };
        Self {
            heads: (0..count as u32).map(empty).collect(),
        }
    }

    /// The first of a list.
    #[inline]
    pub(crate) fn first(&self, list: usize) -> Option<Slot> {
        let first = self.heads[list].next;
        (first & HEAD == 0).then_some(Slot(first))
    }

    /// The flow after this one in its list.
    pub(crate) fn next<K>(&self, slab: &mut Slab<K>, slot: Slot) -> Option<Slot> {
        let next = slab.node::<KIND>(slot).next;
        (next & HEAD == 0).then_some(Slot(next))
    }

    /// Appends a flow that is in no list of this kind.
    pub(crate) fn push<K>(&mut self, slab: &mut Slab<K>, list: usize, slot: Slot) {
        let head = list as u32 | HEAD;
        let last = self.heads[list].previous;
        *slab.node::<KIND>(slot) = Node {
            previous: last,
            next: head,
        };
        self.at(slab, last).next = slot.0;
        self.heads[list].previous = slot.0;
    }

    /// Removes a flow from its list, if it is in one.
    pub(crate) fn unlink<K>(&mut self, slab: &mut Slab<K>, slot: Slot) {
        let node = std::mem::replace(slab.node::<KIND>(slot), Node::UNLINKED);
        if node.previous != NONE {
            self.at(slab, node.previous).next = node.next;
            self.at(slab, node.next).previous = node.previous;
        }
    }

    fn at<'a, K>(&'a mut self, slab: &'a mut Slab<K>, place: u32) -> &'a mut Node {
        if place & HEAD == 0 {
            slab.node::<KIND>(Slot(place))
        } else {
            &mut self.heads[(place & !HEAD) as usize]
        }
    }
}
