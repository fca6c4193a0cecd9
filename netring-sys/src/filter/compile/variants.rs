//! Headers whose place depends on the packet: each term is compiled for each place.

use super::layers::Variant;
use super::terms::Terms;
use super::values::Bool;
use super::{Absent, Compiler};
use crate::filter::expr::tree::Node;

/// Those of Geneve inside of Geneve.
const MOST: usize = 16;

impl Compiler {
    /// The condition of a term in all variants. It does not hold for packets of no variant, nor in
    /// a variant that cannot have it; if none can, it is refused.
    pub(super) fn in_variants(
        &mut self,
        node: &Node,
        term: impl Fn(&mut Terms) -> Result<Bool, String>,
    ) -> Result<Bool, String> {
        let (is_of_packet, moves) = match node {
            Node::Is(primitive) => (primitive.is_of_packet(), primitive.moves_headers()),
            Node::Compare { left, right, .. } => {
                (left.is_of_packet() && right.is_of_packet(), false)
            }
            _ => (false, false),
        };
        let mut any = Vec::new();
        let mut refusal = None;
        let mut next = Vec::new();
        for mut variant in std::mem::take(&mut self.variants) {
            self.terms.layers = variant.layers;
            self.terms.values.base = variant.base;
            match term(&mut self.terms) {
                Ok(term) => {
                    any.push((variant.guard.clone(), term));
                    variant.layers = self.terms.layers;
                    let inside = std::mem::take(&mut self.terms.inside);
                    if inside.is_empty() {
                        next.push(variant);
                    } else {
                        next.extend(inside.into_iter().map(|inside| Variant {
                            guard: Bool::and([variant.guard.clone(), inside.guard]),
                            ..inside
                        }));
                    }
                }
                Err(why) => {
                    refusal.get_or_insert(why);
                    if !moves {
                        next.push(variant);
                    }
                }
            }
        }
        self.variants = next;
        if self.variants.len() > MOST {
            self.variants.clear();
            return Err(
                "Geneve inside of Geneve inside of Geneve would make too long a program".into(),
            );
        }
        match refusal {
            Some(why) if any.is_empty() => Err(why),
            _ if is_of_packet => Ok(any.swap_remove(0).1),
            _ => Ok(Bool::or(
                any.into_iter()
                    .map(|(guard, term)| Bool::and([guard, term])),
            )),
        }
    }

    /// A term that is impossible is refused, or does not hold.
    pub(super) fn or_absent(
        &self,
        node: &Node,
        term: Result<Bool, String>,
    ) -> Result<Bool, String> {
        match self.absent {
            Absent::Refused => term.map_err(|why| format!("`{node}`: {why}")),
            Absent::False => Ok(term.unwrap_or(Bool::Is(false))),
        }
    }
}
