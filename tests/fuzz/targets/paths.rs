#![no_main]

#[path = "../checks/paths.rs"]
mod check;
#[path = "../checks/fixture.rs"]
mod fixture;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::check(data);
});
