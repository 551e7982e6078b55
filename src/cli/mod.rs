//! The command line, one file a command.

pub mod user;
mod user_import;
