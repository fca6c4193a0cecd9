//! Interfaces and packet sockets, in namespaces of the tests' own.

mod facts;
mod information;
mod interfaces;
mod namespaces;
