//! IPFIX messages.

mod builder;
mod fields;

use super::{FlowRecord, RecordKind};
pub use builder::IpfixBuilder;
use fields::{TEMPLATES, Template};

/// Bytes of a message header.
const MESSAGE_HEADER: usize = 16;
/// Bytes of a set header.
const SET_HEADER: usize = 4;
/// The identifier of sets that hold templates.
const TEMPLATE_SET: u16 = 2;

/// Encodes records as IPFIX messages (RFC 7011) for a collector or a file.
///
/// A flow is one data record for both directions (RFC 5103, the enterprise number 29305), or two
/// records with [`uniflow`](IpfixBuilder::uniflow). A message holds records until it is full or
/// [`flush`](Self::flush) is called. Each complete message is passed to a function, which may send
/// it as one datagram or append it to a file, which then follows RFC 5655.
///
/// ```
/// use netring_flow::FlowId;
/// use netring_flow::export::{FlowRecord, Ipfix};
///
/// let (client, server) = ("192.0.2.7:40000".parse()?, "192.0.2.1:443".parse()?);
/// let record = FlowRecord::new("1".parse::<FlowId>()?, 6, client, server);
/// let mut ipfix = Ipfix::new();
/// let mut file = Vec::new();
/// ipfix.record(&record, |message| file.extend_from_slice(message));
/// ipfix.flush(|message| file.extend_from_slice(message));
/// assert_eq!(file[..2], [0, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Elements
///
/// There are two templates: 256 for IPv4, and 257 for IPv6 and for flows between the two, with the
/// IPv4 address mapped. Some collectors mistake reverse elements for forward ones; those come
/// first, so that the forward ones win.
///
#[doc = include_str!("ipfix/elements.md")]
///
/// Counters are deltas, which collectors add up: encode only the records of ended flows, or use
/// intervals if active flows report too
/// ([`FlowRecorder::intervals`](super::FlowRecorder::intervals)).
#[derive(Debug)]
pub struct Ipfix {
    settings: IpfixBuilder,
    message: Vec<u8>,
    /// The start of the open data set in the message, and its template.
    open: Option<(usize, u16)>,
    /// Data records in the message.
    records: u32,
    /// Data records in all earlier messages.
    sequence: u32,
    /// Data records since the templates were last sent, and the export time then; `None` before the
    /// first time.
    since_templates: Option<(u32, i64)>,
    /// The export time: the time of the latest record.
    now: i64,
}

impl Ipfix {
    /// Creates an encoder with the default settings.
    pub fn new() -> Self {
        Self::with(IpfixBuilder::new())
    }

    /// Returns the settings to change.
    pub const fn builder() -> IpfixBuilder {
        IpfixBuilder::new()
    }

    fn with(settings: IpfixBuilder) -> Self {
        Self {
            message: Vec::with_capacity(settings.max_message),
            settings,
            open: None,
            records: 0,
            sequence: 0,
            since_templates: None,
            now: 0,
        }
    }

    /// Adds a record. If it does not fit, the current message is passed to `send` first.
    ///
    /// The export time of a message is the latest [`FlowRecord::time_ns`] in it; times before 1970
    /// become 0, and times after 2106 the largest 32-bit value.
    pub fn record(&mut self, record: &FlowRecord, mut send: impl FnMut(&[u8])) {
        let sent = [record.initiator.packets != 0, record.responder.packets != 0];
        if !self.settings.uniflow || sent != [false, true] {
            self.add(record, false, &mut send);
        }
        if self.settings.uniflow && sent[1] {
            self.add(record, true, &mut send);
        }
    }

    /// Completes the message and passes it to `send` if it holds a record.
    pub fn flush(&mut self, mut send: impl FnMut(&[u8])) {
        if self.records != 0 {
            self.complete(&mut send);
        }
    }

    /// Sends the templates again with the next record, as for a new connection or file.
    pub fn resend_templates(&mut self) {
        self.since_templates = None;
    }

    /// The number of data records so far.
    pub const fn sequence(&self) -> u32 {
        self.sequence.wrapping_add(self.records)
    }

    fn add(&mut self, record: &FlowRecord, swapped: bool, send: &mut impl FnMut(&[u8])) {
        let template = Template::of(record);
        let fields = template.fields(self.settings.uniflow);
        let len = fields::record_len(fields);
        // A set is padded before the next one and at the end.
        let start = match self.open {
            Some((_, open)) if open == template.id => self.message.len(),
            _ => self.message.len().next_multiple_of(4) + SET_HEADER,
        };
        let is_full = (start + len).next_multiple_of(4) > self.settings.max_message;
        if self.records != 0 && (is_full || self.templates_due(record.time_ns)) {
            self.complete(send);
        }
        self.now = if self.records == 0 {
            record.time_ns
        } else {
            self.now.max(record.time_ns)
        };
        if self.message.is_empty() {
            self.begin();
        }
        if self.open.is_none_or(|(_, open)| open != template.id) {
            self.close_set();
            self.open = Some((self.message.len(), template.id));
            self.message.extend_from_slice(&template.id.to_be_bytes());
            self.message.extend_from_slice(&[0, 0]);
        }
        for field in fields {
            field.write(record, swapped, &mut self.message);
        }
        self.records += 1;
    }

    /// Whether the templates are due at this time.
    fn templates_due(&self, now: i64) -> bool {
        let Some((records, time)) = self.since_templates else {
            return true;
        };
        // They are also due if time goes back, for example after a timestamp from the far future.
        let since = now.abs_diff(time);
        let total = records.saturating_add(self.records);
        self.settings
            .template_records
            .is_some_and(|every| total >= every)
            || (self.settings.template_nanos).is_some_and(|every| since >= every)
    }

    /// Begins a message, with templates if they are due.
    fn begin(&mut self) {
        self.message.extend_from_slice(&[0; MESSAGE_HEADER]);
        if self.templates_due(self.now) {
            fields::write_templates(&TEMPLATES, self.settings.uniflow, &mut self.message);
            self.since_templates = Some((0, self.now));
        }
    }

    /// Pads the open data set and writes its length.
    fn close_set(&mut self) {
        if let Some((start, _)) = self.open.take() {
            while !self.message.len().is_multiple_of(4) {
                self.message.push(0);
            }
            let len = (self.message.len() - start) as u16;
            self.message[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
        }
    }

    fn complete(&mut self, send: &mut impl FnMut(&[u8])) {
        self.close_set();
        let len = self.message.len() as u16;
        let seconds = self.now.div_euclid(1_000_000_000).max(0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let header = &mut self.message[..MESSAGE_HEADER];
        header[..2].copy_from_slice(&10_u16.to_be_bytes());
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[4..8].copy_from_slice(&seconds.to_be_bytes());
        header[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        header[12..].copy_from_slice(&self.settings.domain.to_be_bytes());
        send(&self.message);
        self.message.clear();
        self.sequence = self.sequence.wrapping_add(self.records);
        if let Some((records, _)) = &mut self.since_templates {
            *records = records.saturating_add(self.records);
        }
        self.records = 0;
    }
}

impl Default for Ipfix {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the flow ended, as flowEndReason.
fn end_reason(record: &FlowRecord) -> u8 {
    use crate::EndReason as Reason;
    match (record.kind, record.reason) {
        (RecordKind::Active, _) => 2,
        (RecordKind::End, Some(Reason::IdleTimeout)) => 1,
        (RecordKind::End, Some(Reason::Finished | Reason::Reset | Reason::PortReuse)) => 3,
        (RecordKind::End, Some(Reason::Emergency | Reason::TableFull)) => 5,
        (RecordKind::End, Some(Reason::SourceEnded) | None) => 4,
    }
}

/// Nanoseconds since 1970 as milliseconds; 0 for an earlier time.
fn millis(nanos: i64) -> u64 {
    u64::try_from(nanos.div_euclid(1_000_000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number before the wrap is followed by one after it, by the number of records.
    #[test]
    fn sequence_numbers_wrap() {
        let (client, server) = ("192.0.2.7:4".parse(), "192.0.2.1:5".parse());
        let (Ok(flow), Ok(client), Ok(server)) = ("1".parse(), client, server) else {
            unreachable!()
        };
        let record = FlowRecord::new(flow, 6, client, server);
        let mut ipfix = Ipfix::new();
        ipfix.sequence = u32::MAX - 1;
        let mut numbers = Vec::new();
        for records in [3, 1, 1] {
            for _ in 0..records {
                ipfix.record(&record, |_| unreachable!("it fits"));
            }
            ipfix.flush(|message| numbers.push(message[8..12].to_vec()));
        }
        assert_eq!(
            numbers,
            [[0xff, 0xff, 0xff, 0xfe], [0, 0, 0, 1], [0, 0, 0, 2]]
        );
        assert_eq!(ipfix.sequence(), 3);
    }
}
