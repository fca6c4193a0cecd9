//! From an expression to a program: conditions, a graph of tests, instructions.

mod chain;
mod emit;
mod geneve;
mod graph;
mod group;
mod layers;
mod load;
mod tagged;
mod terms;
mod values;
mod variants;

use super::expr::tree::Node;
use crate::LinkType;
use crate::kernel::filter::SockFilter;
use graph::Graph;
use layers::{Layers, Variant};
use terms::Terms;
use values::{Bool, Values};

/// Where a program finds the data it tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// In the bytes of the frame alone.
    Bytes,
    /// In the bytes and in the kernel's metadata of a packet.
    Live,
}

/// How to treat a term about headers that no packet of the link type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The expression is refused.
    Refused,
    /// The term does not hold, nor does one that follows what it would have moved the headers by.
    False,
}

/// The link types that expressions are compiled for. The first is the most frequent one.
pub(super) const LINK_TYPES: [LinkType; 14] = [
    LinkType::ETHERNET,
    LinkType::RAW_IP,
    LinkType::DLT_RAW,
    LinkType::DLT_RAW_OPENBSD,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::C_HDLC,
    LinkType::PPP_ETHER,
];

/// Compiles an expression, or says why that is impossible.
pub(super) fn program(
    node: &Node,
    link: LinkType,
    dialect: Dialect,
    absent: Absent,
) -> Result<Vec<SockFilter>, String> {
    let Some(layers) = Layers::of(link) else {
        return Err(no_expressions(link));
    };
    let mut compiler = Compiler {
        terms: Terms {
            values: Values::default(),
            layers,
            dialect,
            inside: Vec::new(),
        },
        variants: vec![Variant::only(layers)],
        absent,
    };
    let condition = compiler.condition(node)?;
    let mut values = compiler.terms.values;
    values.base = None;
    let mut condition = group::grouped(condition);
    if dialect == Dialect::Live && link == LinkType::ETHERNET {
        condition = tagged::live(condition, &mut values);
    }
    let (graph, root) = Graph::of(&condition, &values)?;
    emit::program(&graph, root, &values)
}

/// Why nothing is compiled for a link type.
pub(super) fn no_expressions(link: LinkType) -> String {
    format!(
        "filter expressions are not available for the link type {link:?}; they are for Ethernet, \
         raw IP, NULL, LOOP, LINUX_SLL, LINUX_SLL2, PPP, PPP_HDLC, PPP_ETHER and C_HDLC"
    )
}

/// Adds up the terms of an expression.
struct Compiler {
    terms: Terms,
    /// Where the headers of the next term can be; none if they are behind one that no packet has.
    variants: Vec<Variant>,
    absent: Absent,
}

impl Compiler {
    fn condition(&mut self, node: &Node) -> Result<Bool, String> {
        Ok(match node {
            Node::And(all, _) => Bool::and(self.parts(all)?),
            Node::Or(any, _) => Bool::or(self.parts(any)?),
            Node::Not(inside, _) => self.condition(inside)?.not(),
            Node::TooDeep => return Err(load::too_deep()),
            Node::Is(_) | Node::Compare { .. } if self.variants.is_empty() => Bool::Is(false),
            Node::Is(primitive) => {
                let term = self.in_variants(node, |terms| terms.term(primitive));
                self.or_absent(node, term)?
            }
            Node::Compare {
                left,
                relation,
                right,
            } => {
                let compare = |terms: &mut Terms| load::compare(terms, left, *relation, right);
                let term = self.in_variants(node, compare);
                self.or_absent(node, term)?
            }
        })
    }

    fn parts(&mut self, nodes: &[Node]) -> Result<Vec<Bool>, String> {
        nodes.iter().map(|node| self.condition(node)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_link_types_is_complete() {
        for link in (0..=u16::MAX).map(LinkType) {
            let is_listed = LINK_TYPES.contains(&link);
            assert_eq!(Layers::of(link).is_some(), is_listed, "{link:?}");
        }
    }
}
