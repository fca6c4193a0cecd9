//! Both halves of a socket against a simulated kernel: its actions and their order are random, and
//! the place of every chunk is checked after each step.

mod batches;
mod conservation;
mod fake_kernel;
mod metadata;
mod slow_path;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netring_sys::kernel::xdp::xdp_desc;
use netring_sys::{PacketSink, PacketSlot};
use proptest::prelude::*;

use crate::injector::XdpInjector;
use crate::memory::umem::UmemConfig;
use crate::socket::rx::MetadataPlacement;
use crate::socket::tx::{Request, Slot};
use fake_kernel::{Harness, RING, harness, harness_over};
