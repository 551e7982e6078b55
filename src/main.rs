//! Result to exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate::cli::run()
}
