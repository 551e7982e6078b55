//! The mark of a checked value.

/// The type of a field of each checked type. Code outside of `config` can read the public fields of such a type, but can't make
/// a value of it: only the functions that check a configuration can.
///
/// `#[non_exhaustive]` would not do: it has no effect within a crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::config) struct Sealed(pub(in crate::config) ());
