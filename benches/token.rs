//! What a token costs, by its algorithm and by what becomes of it.

use std::cell::LazyCell;

use criterion::Criterion;
use tollgate::token::Algorithm;

use crate::fixture::{Case, NOW, Place, Size, in_turns};
use crate::timing::Group;

pub(crate) fn each_algorithm(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        let place = LazyCell::new(|| Place::new(algorithm, Size::SMALL));
        let mut group = Group::new(criterion, format!("token, {}", algorithm.name()));
        group.measure("verified alone", || {
            let (rules, token) = (&place.realm().tokens, place.token(Case::New, 0, NOW));
            move || rules.verify(&token, NOW)
        });
        // And in the whole of a judgement.
        for case in [Case::New, Case::Known, Case::Forged, Case::Expired, Case::Revoked] {
            group.measure(case.name(), || in_turns(&place, case));
        }
    }
}

/// Those that the gate itself signs with.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];
