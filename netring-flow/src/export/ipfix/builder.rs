//! Settings of the IPFIX encoder.

use std::time::Duration;

use netring_sys::Error;

use super::{Ipfix, MESSAGE_HEADER, SET_HEADER, fields};

/// Settings of [`Ipfix`].
///
/// ```
/// use std::time::Duration;
///
/// use netring_flow::export::Ipfix;
///
/// let ipfix = Ipfix::builder()
///     .domain(7)
///     .max_message(8192)
///     .templates_every(1000, Duration::from_secs(60))
///     .build()?;
/// # assert_eq!(ipfix.sequence(), 0);
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct IpfixBuilder {
    pub(super) domain: u32,
    pub(super) max_message: usize,
    pub(super) uniflow: bool,
    pub(super) template_records: Option<u32>,
    pub(super) template_nanos: Option<u64>,
}

impl IpfixBuilder {
    pub(super) const fn new() -> Self {
        Self {
            domain: 0,
            max_message: 1400,
            uniflow: false,
            template_records: Some(4096),
            template_nanos: Some(600_000_000_000),
        }
    }

    /// The observation domain, by which a collector tells encoders apart. Encoders that send to the
    /// same collector from the same address need different ones. Default: 0.
    #[must_use]
    pub const fn domain(mut self, domain: u32) -> Self {
        self.domain = domain;
        self
    }

    /// The largest message in bytes, without the headers of UDP and IP: up to 65535. Default: 1400,
    /// which fits an Ethernet MTU of 1500.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Encodes a flow as two records, one for each end that sent, for collectors that ignore
    /// reverse elements. Default: off.
    #[must_use]
    pub const fn uniflow(mut self, uniflow: bool) -> Self {
        self.uniflow = uniflow;
        self
    }

    /// Sends the templates again after this many records, or in the first message at least this
    /// long after they were last sent, by export time, or if time went back. Zero disables either
    /// limit; over TCP or in a file, sending them once is enough. Default: 4096 records, 10
    /// minutes.
    #[must_use]
    pub fn templates_every(mut self, records: u32, time: Duration) -> Self {
        self.template_records = (records != 0).then_some(records);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.template_nanos = (nanos != 0).then_some(nanos);
        self
    }

    /// Creates the encoder.
    ///
    /// # Errors
    /// [`Error::Config`] if a message cannot hold the templates and a record, or exceeds the range
    /// of its length field.
    pub fn build(self) -> Result<Ipfix, Error> {
        let least = MESSAGE_HEADER
            + fields::templates_len(self.uniflow)
            + SET_HEADER
            + fields::longest_record(self.uniflow)
            + 3;
        if !(least..=65_535).contains(&self.max_message) {
            return Err(Error::Config {
                setting: "max_message",
                why: format!("{} is out of range ({least} to 65535)", self.max_message),
            });
        }
        Ok(Ipfix::with(self))
    }
}
