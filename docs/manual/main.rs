//! Writes the manual pages, the completions of the shells and the reference of the configuration, as packages have them:
//!
//!     cargo run --example manual -- DIRECTORY

mod pages;
mod reference;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: manual DIRECTORY")?);
    for (name, text) in pages::files()? {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&directory))?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
