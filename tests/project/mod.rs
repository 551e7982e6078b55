//! The repository: its structure, documentation, package and recorded costs.

mod architecture;
mod cost;
mod manual;
mod package;
mod reference;
