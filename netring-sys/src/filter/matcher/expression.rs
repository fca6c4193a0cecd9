//! An expression over packets of any link type: compiled when the first packet of a type arrives.

use std::sync::OnceLock;

use super::Code;
use crate::filter::compile::{LINK_TYPES, no_expressions};
use crate::filter::{Ancillary, Expr, Program, fact};
use crate::{Error, LinkType, Packet};

/// The programs of an expression.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    expr: Expr,
    /// By link type, in the order of [`LINK_TYPES`].
    programs: [Programs; LINK_TYPES.len()],
}

/// The programs for the packets of one link type.
#[derive(Clone, Debug, Default)]
struct Programs {
    /// For packets whose tag, if they have one, is in their bytes.
    bytes: OnceLock<Result<Code, String>>,
    /// For packets with a tag in their metadata, and for tests of metadata.
    live: OnceLock<Result<Live, String>>,
}

#[derive(Clone, Debug)]
struct Live {
    code: Code,
    /// The metadata that a packet must carry for the program to be meaningful.
    needs: Vec<Ancillary>,
}

impl Expression {
    /// Refuses an expression that is impossible on every link type.
    pub(super) fn new(expr: Expr) -> Result<Self, Error> {
        let expression = Self {
            expr,
            programs: Default::default(),
        };
        let is_possible = |(programs, link_type): (&Programs, LinkType)| {
            let expr = &expression.expr;
            programs.bytes(expr, link_type).is_ok() || programs.live(expr, link_type).is_ok()
        };
        let mut programs = expression.programs.iter().zip(LINK_TYPES);
        if !programs.any(is_possible) {
            expression.expr.for_live_socket(LinkType::ETHERNET)?;
        }
        Ok(expression)
    }

    /// The program for this packet; `None` if the expression has no meaning for it.
    #[inline]
    pub(super) fn code(&self, packet: &Packet<'_>) -> Option<&Code> {
        // Almost every packet.
        let is_plain = packet.link_type() == LINK_TYPES[0] && packet.vlan().is_none();
        match self.programs[0].bytes.get() {
            Some(Ok(code)) if is_plain => Some(code),
            _ => self.find(packet),
        }
    }

    #[inline(never)]
    fn find(&self, packet: &Packet<'_>) -> Option<&Code> {
        let link_type = packet.link_type();
        let place = LINK_TYPES.iter().position(|known| *known == link_type)?;
        let programs = &self.programs[place];
        if packet.vlan().is_none()
            && let Ok(code) = programs.bytes(&self.expr, link_type)
        {
            return Some(code);
        }
        let live = programs.live(&self.expr, link_type).ok()?;
        let knows = |fact: &Ancillary| fact::value(*fact, packet).is_some();
        live.needs.iter().all(knows).then_some(&live.code)
    }

    /// Why there is no program for this packet.
    #[cold]
    pub(super) fn why_not(&self, packet: &Packet<'_>) -> String {
        let link_type = packet.link_type();
        let place = LINK_TYPES.iter().position(|known| *known == link_type);
        let Some(programs) = place.map(|place| &self.programs[place]) else {
            return no_expressions(link_type);
        };
        let why = programs.live(&self.expr, link_type).err();
        let why = why.or_else(|| programs.bytes(&self.expr, link_type).err());
        let why = why.unwrap_or("it asks for metadata that the packet does not have");
        format!("for a packet of the link type {link_type}: {why}")
    }
}

impl Programs {
    #[inline]
    fn bytes(&self, expr: &Expr, link_type: LinkType) -> Result<&Code, &str> {
        let make = || loaded(expr.for_bytes(link_type));
        self.bytes
            .get_or_init(make)
            .as_ref()
            .map_err(String::as_str)
    }

    fn live(&self, expr: &Expr, link_type: LinkType) -> Result<&Live, &str> {
        let make = || {
            let code = loaded(expr.for_live_socket(link_type))?;
            let needs = code.facts.iter().copied().filter(is_optional).collect();
            Ok(Live { code, needs })
        };
        self.live.get_or_init(make).as_ref().map_err(String::as_str)
    }
}

/// Metadata that a source knows or not, whatever the packet is.
const fn is_optional(fact: &Ancillary) -> bool {
    matches!(
        fact,
        Ancillary::PacketType | Ancillary::Interface | Ancillary::Queue | Ancillary::RxHash
    )
}

fn loaded(program: Result<Program, Error>) -> Result<Code, String> {
    program
        .and_then(|program| Code::new(&program))
        .map_err(|error| match error {
            Error::Config { why, .. } => why,
            other => other.to_string(),
        })
}
