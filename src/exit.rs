//! Exit codes, as sysexits(3) names them.

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// The data that was given is wrong.
pub const DATA: u8 = 65;
/// A service that is needed is not there: the store, or an address to listen on.
pub const UNAVAILABLE: u8 = 69;
/// A fault of the program.
pub const SOFTWARE: u8 = 70;
/// The system refused something that it should not.
pub const OS: u8 = 71;
/// An output file can't be made.
pub const CANT_CREATE: u8 = 73;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;
