//! The repository: its structure, documentation, package and recorded costs.

mod architecture;
mod cost;
mod manual;
mod package;
#[path = "../../docs/manual/pages.rs"]
mod pages;
#[path = "../../docs/manual/reference.rs"]
mod reference;
mod schema;
mod scripts;
