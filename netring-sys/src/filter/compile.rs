//! From an expression to a program: conditions, a graph of tests, instructions.

mod emit;
mod graph;
mod group;
mod layers;
mod load;
mod tagged;
mod terms;
mod values;

use super::expr::tree::Node;
use crate::LinkType;
use crate::kernel::filter::SockFilter;
use graph::Graph;
use layers::Layers;
use terms::Terms;
use values::{Bool, Values};

/// Where a program finds what it tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// In the bytes of the frame alone.
    Bytes,
    /// In the bytes and in what the kernel knows about a packet.
    Live,
}

/// Compiles an expression, or says why that is impossible.
pub(super) fn program(
    node: &Node,
    link: LinkType,
    dialect: Dialect,
) -> Result<Vec<SockFilter>, String> {
    let Some(layers) = Layers::of(link) else {
        return Err(format!(
            "filter expressions are not available for the link type {link:?}; they are for \
             Ethernet, raw IP, NULL, LOOP, LINUX_SLL, LINUX_SLL2, PPP and C_HDLC"
        ));
    };
    let mut terms = Terms {
        values: Values::default(),
        layers,
        dialect,
    };
    let condition = condition(&mut terms, node)?;
    let mut values = terms.values;
    let mut condition = group::grouped(condition);
    if dialect == Dialect::Live && link == LinkType::ETHERNET {
        condition = tagged::live(condition, &mut values);
    }
    let (graph, root) = Graph::of(&condition, &values)?;
    emit::program(&graph, root, &values)
}

fn condition(terms: &mut Terms, node: &Node) -> Result<Bool, String> {
    let parts = |terms: &mut Terms, nodes: &[Node]| {
        nodes
            .iter()
            .map(|node| condition(terms, node))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(match node {
        Node::And(all, _) => Bool::and(parts(terms, all)?),
        Node::Or(any, _) => Bool::or(parts(terms, any)?),
        Node::Not(inside, _) => condition(terms, inside)?.not(),
        Node::Is(primitive) => terms.term(primitive)?,
        Node::Compare {
            left,
            relation,
            right,
        } => load::compare(terms, left, *relation, right)?,
        Node::TooDeep => return Err(load::too_deep()),
    })
}
