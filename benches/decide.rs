//! What judging a request costs, by who sends it, and by how much there is to look among.

use std::cell::LazyCell;

use criterion::Criterion;
use tollgate::token::Algorithm;

use crate::fixture::{Case, Place, Size, in_turns};
use crate::timing::Group;

pub(crate) fn each_case(criterion: &mut Criterion) {
    let place = LazyCell::new(|| Place::new(Algorithm::HS256, Size::SMALL));
    let mut group = Group::new(criterion, "decide");
    for case in Case::ALL {
        group.measure(case.name(), || in_turns(&place, case));
    }
}

/// They should not differ.
pub(crate) fn each_size(criterion: &mut Criterion) {
    const SMALL: Size = Size::SMALL;
    for (name, size) in [
        ("1,000 of each", Size { routes: 1000, api_keys: 1000, origins: 1000, revoked: 1000 }),
        ("100,000 routes", Size { routes: 100_000, ..SMALL }),
        ("100,000 API keys", Size { api_keys: 100_000, ..SMALL }),
        ("100,000 origins", Size { origins: 100_000, ..SMALL }),
        ("1,000,000 revoked", Size { revoked: 1_000_000, ..SMALL }),
        ("all of these", Size { routes: 100_000, api_keys: 100_000, origins: 100_000, revoked: 1_000_000 }),
    ] {
        let place = LazyCell::new(|| Place::new(Algorithm::HS256, size));
        let mut group = Group::new(criterion, format!("decide, {name}"));
        for case in [Case::Public, Case::Key, Case::Known, Case::NoRoute] {
            group.measure(case.name(), || in_turns(&place, case));
        }
    }
}
