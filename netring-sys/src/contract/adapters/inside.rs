//! The common part of all adapters around one source.

/// Access to the source inside an adapter, which is in its field `source`, and to its descriptor.
macro_rules! source_inside {
    ($adapter:ident) => {
        impl<S> $adapter<S> {
            /// The source inside.
            pub const fn get_ref(&self) -> &S {
                &self.source
            }

            /// The source inside. Packets that are taken from it directly count as left out.
            pub const fn get_mut(&mut self) -> &mut S {
                &mut self.source
            }

            /// Removes the adapter and returns the inner source.
            pub fn into_inner(self) -> S {
                self.source
            }
        }

        impl<S: std::os::fd::AsFd> std::os::fd::AsFd for $adapter<S> {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.source.as_fd()
            }
        }
    };
}

pub(super) use source_inside;
