//! The records of either format.

use super::classic::Classic;
use super::extra::{Extra, refuse};
use super::format::Format;
use super::ng::Ng;
use crate::pcap::interface::InterfaceDescription;
use crate::pcap::read::Block;
use crate::pcap::section::Section;
use crate::pcap::statistics::InterfaceStatistics;
use crate::{Error, LinkType, Packet};

/// Appends records to a buffer.
#[derive(Clone, Debug)]
pub(in crate::pcap) enum Encoder {
    Classic(Classic),
    Ng(Box<Ng>),
}

impl Encoder {
    pub(super) fn new(
        format: Format,
        section: Option<&Section>,
        interfaces: &[(u32, InterfaceDescription)],
    ) -> Result<Self, Error> {
        fn config<T>(setting: &'static str, why: String) -> Result<T, Error> {
            Err(Error::Config { setting, why })
        }
        match format {
            Format::Pcap(LinkType::UNKNOWN) => config(
                "link_type",
                "a capture file needs a registered link type".into(),
            ),
            Format::Pcap(_) if section.is_some() => config("section", NG_ONLY.into()),
            Format::Pcap(_) if !interfaces.is_empty() => config("interface", NG_ONLY.into()),
            Format::Pcap(link_type) => Ok(Self::Classic(Classic { link_type })),
            Format::PcapNg => {
                let mut ng = Ng::new(section.cloned());
                for (index, description) in interfaces {
                    let added = ng.add(*index, description.clone());
                    added.or_else(|why| config("interface", why))?;
                }
                Ok(Self::Ng(Box::new(ng)))
            }
        }
    }

    pub(super) const fn format(&self) -> Format {
        match self {
            Self::Classic(classic) => Format::Pcap(classic.link_type),
            Self::Ng(_) => Format::PcapNg,
        }
    }

    /// Appends the header of a file.
    pub(super) fn begin(&self, to: &mut Vec<u8>) {
        match self {
            Self::Classic(classic) => classic.begin(to),
            Self::Ng(ng) => ng.begin(to),
        }
    }

    /// Appends what is at the end of a file.
    pub(super) fn end(&self, to: &mut Vec<u8>) {
        if let Self::Ng(ng) = self {
            ng.end(to);
        }
    }

    /// The most bytes at the end of a file, with those of another interface.
    #[cfg(feature = "rotation")]
    #[inline]
    pub(super) fn end_len(&self) -> usize {
        match self {
            Self::Classic(_) => 0,
            Self::Ng(ng) => ng.end_len(),
        }
    }

    /// Appends a packet; nothing if it is refused.
    #[inline]
    pub(super) fn packet(
        &mut self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        extra: Extra<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Classic(classic) => classic.packet(to, packet, extra),
            Self::Ng(ng) => ng.packet(to, packet, extra),
        }
    }

    pub(super) fn describe(
        &mut self,
        to: &mut Vec<u8>,
        interface: u32,
        description: InterfaceDescription,
    ) -> Result<(), Error> {
        let ng = self.ng("describe")?;
        let added = ng.add(interface, description);
        let number = added.or_else(|why| refuse("describe", why))?;
        ng.interface(to, number);
        Ok(())
    }

    pub(super) fn knows(&self, interface: u32, link_type: LinkType) -> bool {
        matches!(self, Self::Ng(ng) if ng.knows(interface, link_type))
    }

    pub(super) fn note_dropped(&mut self, interface: u32, packets: u64) -> Result<(), Error> {
        self.ng("note_dropped")?.note_dropped(interface, packets);
        Ok(())
    }

    pub(super) fn set_statistics(
        &mut self,
        interface: u32,
        statistics: InterfaceStatistics,
    ) -> Result<(), Error> {
        let ng = self.ng("set_statistics")?;
        let set = ng.set_statistics(interface, statistics);
        set.or_else(|why| refuse("set_statistics", why))
    }

    pub(super) fn write_statistics(
        &mut self,
        to: &mut Vec<u8>,
        interface: u32,
        statistics: &InterfaceStatistics,
    ) -> Result<(), Error> {
        let ng = self.ng("write_statistics")?;
        let written = ng.write_statistics(to, interface, statistics);
        written.or_else(|why| refuse("write_statistics", why))
    }

    /// Begins another section of a pcapng file.
    pub(super) fn next_section(&mut self, to: &mut Vec<u8>, section: Section) {
        if let Self::Ng(ng) = self {
            ng.next_section(to, section);
        }
    }

    /// Appends a block of another file; false if it is none that is copied.
    pub(super) fn copied(&self, to: &mut Vec<u8>, block: &Block<'_>) -> bool {
        matches!(self, Self::Ng(ng) if ng.copied(to, block))
    }

    /// How many packets are whole in these bytes, which begin with a record.
    pub(super) fn whole_packets(&self, bytes: &[u8]) -> u64 {
        match self {
            Self::Classic(_) => super::classic::whole_packets(bytes),
            Self::Ng(_) => super::ng::whole_packets(bytes),
        }
    }

    fn ng(&mut self, request: &'static str) -> Result<&mut Ng, Error> {
        match self {
            Self::Classic(_) => refuse(request, NG_ONLY.into()),
            Self::Ng(ng) => Ok(ng),
        }
    }
}

const NG_ONLY: &str = "a pcap file cannot store it; use pcapng";
