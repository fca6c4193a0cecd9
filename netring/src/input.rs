//! An interface or a file, for programs that read either.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

#[cfg(feature = "async")]
use crate::AsyncSource;
use crate::either::Either;
use crate::pcap::{self, CaptureFile};
use crate::wait::StopHandle;
use crate::{Capture, Error, Filter, Packet, PacketBatch, PacketSource, Readiness, Stats};

/// A source that is an interface or a file, for programs with the options `-i INTERFACE | -r FILE`.
/// Flows, adapters and the async adapter accept it like any other source.
///
/// ```no_run
/// use netring::{Input, PacketSource};
///
/// # fn main() -> Result<(), netring::Error> {
/// # let file = true;
/// let mut input = match file {
///     true => Input::from_file("trace.pcapng")?,
///     false => Input::from_interface("eth0")?,
/// };
/// let mut bytes = 0;
/// input.for_each(|packet| bytes += u64::from(packet.wire_len()))?;
/// println!("{bytes} bytes");
/// # Ok(())
/// # }
/// ```
///
/// For a filter, use [`Input::builder`]. For other settings or another backend, construct the
/// variant: `Input::Interface(Capture::builder().interface("eth0").build()?)`.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a program has one, and makes a variant of its own without a box"
)]
pub enum Input<L = Capture> {
    /// A live source.
    Interface(L),
    /// A capture file.
    File(CaptureFile),
}

/// The packets of one batch of an [`Input`]. Dropping it returns all of their memory.
#[derive(Debug)]
pub struct InputBatch<'a, B>(Either<B, pcap::Batch<'a>>);

/// The settings of an [`Input`], from [`Input::builder`].
///
/// ```no_run
/// use netring::{Filter, Input};
///
/// # fn main() -> Result<(), netring::Error> {
/// # let (file, text) = (true, None::<&str>);
/// let mut builder = Input::builder();
/// if let Some(text) = text {
///     builder = builder.filter(text.parse::<Filter>()?);
/// }
/// let input = match file {
///     true => builder.open_file("trace.pcapng")?,
///     false => builder.open_interface("eth0")?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is opened before `open_interface` or `open_file`"]
pub struct InputBuilder {
    filter: Option<Filter>,
}

impl InputBuilder {
    /// Which packets to take: in the kernel from an interface
    /// ([`CaptureBuilder::filter`](crate::afpacket::CaptureBuilder::filter)), in user space from a
    /// file ([`CaptureFile::filter`]). It means the same for both. Default: all packets.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Captures from the interface of this name.
    ///
    /// # Errors
    /// The errors of [`Capture::open`], and [`Error::Config`] for a filter that the interface's
    /// link type cannot express.
    pub fn open_interface(self, name: &str) -> Result<Input, Error> {
        let mut builder = Capture::builder().interface(name);
        if let Some(filter) = self.filter {
            builder = builder.filter(filter);
        }
        builder.build().map(Input::Interface)
    }

    /// Reads a pcap or pcapng file. `/dev/stdin` is the standard input.
    ///
    /// # Errors
    /// The errors of [`CaptureFile::open`] and [`CaptureFile::filter`].
    pub fn open_file(self, path: impl AsRef<Path>) -> Result<Input, Error> {
        let file = CaptureFile::open(path)?;
        Ok(Input::File(match self.filter {
            Some(filter) => file.filter(filter)?,
            None => file,
        }))
    }
}

impl Input {
    /// Returns the settings, currently the filter.
    pub fn builder() -> InputBuilder {
        InputBuilder::default()
    }

    /// Captures from the interface of this name, as [`Capture::open`] does.
    ///
    /// # Errors
    /// The errors of [`Capture::open`].
    pub fn from_interface(name: &str) -> Result<Self, Error> {
        Capture::open(name).map(Self::Interface)
    }

    /// Reads a pcap or pcapng file. `/dev/stdin` is the standard input.
    ///
    /// # Errors
    /// The errors of [`CaptureFile::open`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        CaptureFile::open(path).map(Self::File)
    }

    /// Calls `f` with each packet until it breaks. Returns `Some` of the value that it breaks with,
    /// or `None` at the end. The place is kept, as by [`Capture::try_for_each`].
    ///
    /// # Errors
    /// The errors of [`next_batch`](PacketSource::next_batch).
    pub fn try_for_each<B>(
        &mut self,
        f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        match self {
            Self::Interface(capture) => capture.try_for_each(f),
            Self::File(file) => file.try_for_each(f),
        }
    }

    /// Returns a handle that stops the capture from any thread; `None` for a file.
    pub fn stop_handle(&self) -> Option<StopHandle> {
        match self {
            Self::Interface(capture) => Some(capture.stop_handle()),
            Self::File(_) => None,
        }
    }
}

impl<L: AsFd> Input<L> {
    /// The descriptor to wait for; `None` for a file, which is never waited for.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Interface(live) => Some(live.as_fd()),
            Self::File(_) => None,
        }
    }
}

#[cfg(feature = "async")]
impl<L: PacketSource + AsFd> Input<L> {
    /// Makes the source asynchronous. For an adapter around an input, use
    /// [`AsyncSource::with_descriptor`] and [`descriptor`](Self::descriptor).
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use netring::{Input, PacketBatch};
    ///
    /// # async fn example(input: Input) -> Result<(), netring::Error> {
    /// let mut source = input.into_async()?;
    /// while let Some(batch) = source.next_batch().await? {
    ///     println!("{} packets", batch.packets().count());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`AsyncSource::new`], for an interface.
    ///
    /// # Panics
    /// Panics as [`AsyncSource::new`] does.
    pub fn into_async(self) -> Result<AsyncSource<Self>, Error> {
        AsyncSource::with_descriptor(self, Self::descriptor)
    }
}

impl<L: PacketSource> PacketSource for Input<L> {
    type Batch<'a>
        = InputBatch<'a, L::Batch<'a>>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        match self {
            Self::Interface(live) => live.ready(),
            Self::File(file) => file.ready(),
        }
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        InputBatch(match self {
            Self::Interface(live) => Either::First(live.batch()),
            Self::File(file) => Either::Second(file.batch()),
        })
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        match self {
            Self::Interface(live) => live.wait(timeout),
            Self::File(file) => file.wait(timeout),
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        match self {
            Self::Interface(live) => live.stats(),
            Self::File(file) => file.stats(),
        }
    }

    fn is_live(&self) -> bool {
        match self {
            Self::Interface(live) => live.is_live(),
            Self::File(file) => file.is_live(),
        }
    }
}

impl<B: PacketBatch> PacketBatch for InputBatch<'_, B> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.packets()
    }
}
