#![no_main]

#[path = "../checks/refresh.rs"]
mod check;
#[path = "../checks/fixture.rs"]
mod fixture;
#[path = "../checks/memory.rs"]
mod memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::check(data);
});
