//! How many instructions a judgement takes, counted by valgrind and compared with what is written down in
//! `instructions.txt`: times can't be trusted to a tenth, these can. `benches/cost/run` brings what this needs.
//!
//! It runs itself under callgrind, once for each case, which counts while [`judge`] runs and not before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what can't be counted has failed")]
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

#[path = "../fixture.rs"]
mod fixture;

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use fixture::{Case, Place, Request, Size};
use tollgate::token::Algorithm;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // What cargo itself adds says nothing.
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [] => compare(),
        [name] => {
            let case = Case::ALL.into_iter().find(|case| case.name() == name).expect("the name of a case");
            let place = Place::new(Algorithm::HS256, Size::SMALL);
            let mut request = place.request(case, 0);
            judge(&place, case, &mut request);
            ExitCode::SUCCESS
        }
        _ => panic!("cost, to compare all cases; cost CASE, to do what is counted"),
    }
}

/// What is counted. Callgrind knows it by its name.
#[inline(never)]
fn judge(place: &Place, case: Case, request: &mut Request) {
    for _ in 0..TIMES {
        if case == Case::New {
            request.generation += 1;
        }
        drop(black_box(place.decide(black_box(request))));
    }
}

fn compare() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cost/instructions.txt");
    let counted: Vec<_> = Case::ALL.into_iter().map(|case| (case, count(case))).collect();
    if env::var_os("TOLLGATE_TEST_WRITE").is_some() {
        fs::write(&file, written(&counted)).unwrap();
        println!("written to {}", file.display());
        return ExitCode::SUCCESS;
    }
    let reference = fs::read_to_string(&file).unwrap();
    // Another kind of processor needs other instructions for the same.
    let comparable = reference.lines().any(|line| line.starts_with('#') && line.contains(env::consts::ARCH));
    let mut differs = false;
    println!("{:<26} {:>10} {:>10}", "instructions a judgement", "reference", "now");
    for (case, now) in counted {
        let before = read(&reference, case);
        let ratio = now as f64 / before as f64;
        let verdict = if ratio > 1.0 + TOLERANCE {
            "MORE"
        } else if ratio < 1.0 - TOLERANCE {
            "LESS"
        } else {
            ""
        };
        differs |= !verdict.is_empty();
        println!("{:<26} {before:>10} {now:>10}  {:+.1} % {verdict}", case.name(), (ratio - 1.0) * 100.0);
    }
    if !comparable {
        println!("\nWhat is written down was not counted on {}, and says nothing here.", env::consts::ARCH);
    } else if differs {
        let versions: String = reference.lines().filter(|line| line.contains("rustc ")).collect();
        println!("{}\n{versions}\n# now: {}", what_to_do(), versions_here());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Instructions of one judgement.
fn count(case: Case) -> u64 {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=cost::judge"])
        .arg(env::current_exe().unwrap())
        .arg(case.name())
        .output()
        .expect("valgrind: benches/cost/run installs it");
    let said = String::from_utf8_lossy(&out.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    match collected {
        Some(collected) if out.status.success() && collected > 0 => collected / u64::from(TIMES),
        _ => panic!("{}: valgrind counted nothing:\n{said}", case.name()),
    }
}

fn read(reference: &str, case: Case) -> u64 {
    let found = reference.lines().find_map(|line| line.strip_prefix(case.name())?.strip_prefix(':'));
    let found = found.unwrap_or_else(|| panic!("no reference for \"{}\": {WRITE}", case.name()));
    found.trim().parse().unwrap()
}

fn written(counted: &[(Case, u64)]) -> String {
    let date = tollgate::clock::rfc3339(tollgate::clock::now());
    let date = date.split('T').next().unwrap();
    let mut text = format!(
        "# Instructions of one judgement. benches/cost/run compares with these, and\n# {WRITE}.\n# {date}, {}\n",
        versions_here()
    );
    for (case, count) in counted {
        text += &format!("{}: {count}\n", case.name());
    }
    text
}

fn versions_here() -> String {
    let version = |program| Command::new(program).arg("--version").output().map(|out| out.stdout).unwrap_or_default();
    let [rustc, valgrind] = ["rustc", "valgrind"].map(|program| String::from_utf8(version(program)).unwrap());
    format!("{}, {}, {}", env::consts::ARCH, rustc.trim(), valgrind.trim())
}

fn what_to_do() -> String {
    format!(
        "
A judgement takes other than the number of instructions that is written down.
MORE: find out where they go, with
    valgrind --tool=callgrind --toggle-collect=cost::judge {} 'known token'
    callgrind_annotate --inclusive=yes callgrind.out.*
and take them out. If they buy something that is worth them, or came with another rustc or another version of a dependency,
or LESS is what it was about:
    TOLLGATE_TEST_WRITE=1 benches/cost/run
and commit benches/cost/instructions.txt with the reason.",
        env::current_exe().unwrap().display()
    )
}

const TIMES: u32 = 1000;
/// A part of the reference. On one machine it comes to within 0.4 % of itself, and to within 4 % where memcpy and SHA-256 have
/// no AVX; so this can't be missed by what makes a judgement slower by a tenth.
const TOLERANCE: f64 = 0.05;
const WRITE: &str = "TOLLGATE_TEST_WRITE=1 benches/cost/run writes them anew";
