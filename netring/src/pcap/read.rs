//! Reading capture files.

mod block;
mod buffer;
mod classic;
mod contents;
mod file;
mod header;
mod input;
mod interface;
mod ng;
mod place;
mod record;

pub use block::Block;
pub use file::{Batch, CaptureFile};
pub use record::Record;
