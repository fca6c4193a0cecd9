//! Which flows are of interest.

use std::fmt;

use netring_sys::{Error, Filter, Matcher};

use super::visitor::{Interest, StreamPoint};
use crate::Segment;
use crate::extract::FiveTupleKey;

/// Decides which flows are of interest, by their first packets or their first bytes. All conditions
/// must hold.
///
/// ```
/// use netring_flow::extract::FiveTupleKey;
/// use netring_flow::reassembly::Subscription;
///
/// # fn main() -> Result<(), netring_sys::Error> {
/// // What looks like HTTP between port 8080 and hosts of a network.
/// let subscription: Subscription<FiveTupleKey> = Subscription::all()
///     .ports([8080])
///     .filter("net 192.0.2.0/24".parse::<netring_sys::Filter>()?)?
///     .first_bytes(|at, bytes| {
///         let method = [&b"GET "[..], b"POST ", b"HEAD "].iter().any(|method| {
///             let len = method.len().min(bytes.len());
///             method[..len] == bytes[..len]
///         });
///         if bytes.len() < 5 && method { None } else { Some(method) }
///     });
/// # let _ = subscription;
/// # Ok(())
/// # }
/// ```
pub struct Subscription<K> {
    conditions: Vec<Box<Condition<K>>>,
    first_bytes: Option<Box<FirstBytes<K>>>,
}

type Condition<K> = dyn Fn(&Segment<'_, K>) -> bool + Send;
type FirstBytes<K> = dyn Fn(StreamPoint<'_, K>, &[u8]) -> Option<bool> + Send;

impl<K> Subscription<K> {
    /// All flows.
    pub const fn all() -> Self {
        Self {
            conditions: Vec::new(),
            first_bytes: None,
        }
    }

    /// Flows for which this returns true for the first packet.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Segment<'_, K>) -> bool + Send + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Flows with a first packet that the filter matches; no other packet is tested.
    ///
    /// # Errors
    /// [`Error::Config`] if the filter cannot be evaluated for a packet.
    pub fn filter(self, filter: impl Into<Filter>) -> Result<Self, Error> {
        let matcher = Matcher::new(filter)?;
        Ok(self.when(move |first| matcher.matches(first.packet)))
    }

    /// Flows for which this returns `Some(true)` for the first bytes. `None` asks for more; it is
    /// called again with all bytes so far when more arrive, up to
    /// [`FIRST_BYTES`](super::FIRST_BYTES). A flow still undecided at the
    /// [deadline](super::ReassemblyConfig::deadline) is not of interest.
    #[must_use]
    pub fn first_bytes(
        mut self,
        decide: impl Fn(StreamPoint<'_, K>, &[u8]) -> Option<bool> + Send + 'static,
    ) -> Self {
        self.first_bytes = Some(Box::new(decide));
        self
    }

    /// Whether a flow that starts with this segment is of interest, as far as the segment shows.
    pub fn matches(&self, first: &Segment<'_, K>) -> bool {
        self.conditions.iter().all(|condition| condition(first))
    }

    /// What [`StreamVisitor::subscribe`](super::StreamVisitor::subscribe) returns for this
    /// subscription.
    pub fn interest<S>(&self, first: &Segment<'_, K>, state: S) -> Interest<S> {
        if !self.matches(first) {
            Interest::No
        } else if self.first_bytes.is_some() {
            Interest::FirstBytes(state)
        } else {
            Interest::Yes(state)
        }
    }

    /// What [`StreamVisitor::first_bytes`](super::StreamVisitor::first_bytes) returns for this
    /// subscription.
    pub fn decide(&self, at: StreamPoint<'_, K>, bytes: &[u8]) -> Option<bool> {
        match &self.first_bytes {
            Some(decide) => decide(at, bytes),
            None => Some(true),
        }
    }
}

impl Subscription<FiveTupleKey> {
    /// Flows with one of these ports at either end.
    #[must_use]
    pub fn ports(self, ports: impl IntoIterator<Item = u16>) -> Self {
        let ports: Vec<u16> = ports.into_iter().collect();
        self.when(move |first| {
            let (a, b) = (first.key.a().port(), first.key.b().port());
            ports.contains(&a) || ports.contains(&b)
        })
    }
}

impl<K> Default for Subscription<K> {
    fn default() -> Self {
        Self::all()
    }
}

impl<K> fmt::Debug for Subscription<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("conditions", &self.conditions.len())
            .field("first_bytes", &self.first_bytes.is_some())
            .finish()
    }
}
