#![no_main]

#[path = "../checks/head.rs"]
mod check;
#[path = "../checks/fixture.rs"]
mod fixture;
#[path = "../checks/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::check(data);
});
