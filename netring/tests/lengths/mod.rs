//! A parser whose messages are the lengths of the pieces in which its data arrives.

use std::ops::ControlFlow;

use netring::flow::session::{Parser, SessionEnd, SessionPoint};

pub(crate) struct Lengths;

impl Parser for Lengths {
    type Message = usize;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<usize>,
    ) -> ControlFlow<SessionEnd> {
        messages.push(bytes.len());
        ControlFlow::Continue(())
    }
}
