//! The configuration file, while it is checked and while it is reloaded.

mod check;
mod reload;
