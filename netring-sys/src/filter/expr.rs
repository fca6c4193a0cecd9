//! Filter expressions: a tree that is parsed from text or built from its parts.

mod arith;
mod cursor;
mod id;
mod lex;
mod names;
mod parse;
mod ports;
pub(super) mod tree;

use std::str::FromStr;

use super::Filter;
use super::compile::{self, Dialect};
use crate::{Error, LinkType};
use tree::Node;

/// A filter expression, in the language of tcpdump (pcap-filter).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expr {
    pub(super) node: Node,
}

impl Expr {
    /// Compiles the expression for the bytes of frames.
    pub fn for_bytes(&self, link_type: LinkType) -> Result<Filter, Error> {
        self.compile(link_type, Dialect::Bytes)
    }

    /// Compiles the expression for a packet socket.
    pub fn for_live_socket(&self, link_type: LinkType) -> Result<Filter, Error> {
        self.compile(link_type, Dialect::Live)
    }

    fn compile(&self, link_type: LinkType, dialect: Dialect) -> Result<Filter, Error> {
        match compile::program(&self.node, link_type, dialect) {
            Ok(program) => Ok(program.into()),
            Err(why) => Err(Error::Config {
                setting: "filter",
                why,
            }),
        }
    }
}

impl FromStr for Expr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match parse::parse(text) {
            Ok(node) => Ok(Self { node }),
            Err((at, why)) => Err(mistake(text, at, &why)),
        }
    }
}

/// Shows the text and a caret below the place.
fn mistake(text: &str, at: usize, why: &str) -> Error {
    let column = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
    Error::Config {
        setting: "filter",
        why: format!("column {column}: {why}"),
    }
}
