//! What the judgement on a request costs, without the proxy around it: `cargo bench`, or a part of it, by a part of its name:
//! `cargo bench -- 'known token'`. Instructions are counted by `benches/cost/run`; the whole gate is under load in
//! `benches/load` and `benches/service`.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't be set up has nothing to say")]

mod decide;
mod fixture;
mod parse;
mod revocation;
mod timing;
mod token;

use criterion::{criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = timing::quick();
    targets = token::each_algorithm, decide::each_case, decide::each_size, parse::cookies_of, parse::targets,
        revocation::asked, revocation::changed
}
criterion_main!(benches);
