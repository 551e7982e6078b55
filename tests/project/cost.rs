//! How often a judgement asks for memory, and for how much: exactly what is written down in `benches/cost/allocations.txt`.
//! Instructions are counted by `benches/cost/run`, which takes a release build and valgrind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use tollgate::token::Algorithm;
use tollgate_counting::{Asked, during};

use crate::fixture::{Case, Place, Size};

/// What the judgements of a case ask for, each of them: the least and the most.
fn asked(place: &Place, case: Case) -> (Asked, Asked) {
    let mut request = place.request(case, 0);
    let mut counts = Vec::new();
    for _ in 0..50 {
        if case == Case::New {
            request.generation += 1;
        }
        counts.push(during(|| drop(place.decide(&request))).1);
    }
    let by_times = |asked: &&Asked| (asked.times, asked.bytes);
    (*counts.iter().min_by_key(by_times).unwrap(), *counts.iter().max_by_key(by_times).unwrap())
}

#[test]
fn a_judgement_asks_for_the_memory_that_is_written_down() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cost/allocations.txt");
    let place = Place::new(Algorithm::HS256, Size::SMALL);
    let mut now = String::new();
    for case in Case::ALL {
        let (least, most) = asked(&place, case);
        // To be remembered takes up memory now and then, when a table is full.
        assert!(least == most || case == Case::New, "{}: now {least}, now {most}", case.name());
        writeln!(now, "{}: {least}", case.name()).unwrap();
    }
    if std::env::var_os("TOLLGATE_TEST_WRITE").is_some() {
        let date = tollgate::clock::rfc3339(tollgate::clock::now());
        let rustc = Command::new("rustc").arg("--version").output().unwrap().stdout;
        let (date, rustc) = (date.split('T').next().unwrap(), String::from_utf8(rustc).unwrap());
        fs::write(&file, format!("{HEAD}# {date}, {rustc}{now}")).unwrap();
        return;
    }
    let written = fs::read_to_string(&file).unwrap();
    let before: Vec<_> = written.lines().filter(|line| !line.starts_with('#')).collect();
    let differs: Vec<_> = now
        .lines()
        .filter(|line| !before.contains(line))
        .map(|line| {
            let case = &line[..=line.find(':').unwrap()];
            let before =
                before.iter().find(|line| line.starts_with(case)).map_or("nothing", |line| line[case.len()..].trim());
            format!("  {line}; written down: {before}")
        })
        .collect();
    assert!(differs.is_empty(), "\n{}\n{WHAT_TO_DO}", differs.join("\n"));
    assert_eq!(before.len(), Case::ALL.len(), "a case that is no more: {WRITE}");
}

const HEAD: &str = "\
# What one judgement asks the allocator for. tests/project/cost.rs compares with these, and
# TOLLGATE_TEST_WRITE=1 tests/run --test tests cost:: writes them anew.
";
const WRITE: &str = "TOLLGATE_TEST_WRITE=1 tests/run --test tests cost::";
const WHAT_TO_DO: &str = "
If that is more: every request pays for it. valgrind --tool=dhat on this test, or reading, tells where it comes from: a copy of
what could be borrowed, a String that grows, a Vec that could be an iterator. If it buys something that is worth it, or came
with another rustc or dependency, or if it is less, write it down with
    TOLLGATE_TEST_WRITE=1 tests/run --test tests cost::
and commit benches/cost/allocations.txt with the reason.";
