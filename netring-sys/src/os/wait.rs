//! Waiting for packets, for a stop, and for the interface to go.
//!
//! A live source waits for three things at once, and a runtime takes one descriptor: [`Waiter`] is
//! a set of the packet socket, the event behind [`StopHandle`]s, and the kernel's notifications
//! about interfaces, and can be waited for as one. The notifications are needed because the socket
//! alone does not tell: once it is down, the kernel removes an interface without another word to
//! it.

mod blocking;
mod link;
mod pace;
mod stop;
mod waiter;

pub use blocking::{drain, next_batch, send};
pub use stop::StopHandle;
pub use waiter::Waiter;

// What the set says of each descriptor that it reports as readable.
const SOCKET: u64 = 0;
const STOP: u64 = 1;
const LINK: u64 = 2;
const PACE: u64 = 3;
