//! At most `half_open_capacity` probes are in flight.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::parcel::Parcel;
use loom_tests::{BOTH, Crowd, Sched, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::State;

#[test]
fn one_slot_admits_one_probe_at_a_time_and_hands_over_what_it_did() {
    explore(&BOTH, [(false, true, 1), (true, false, 1), (true, true, 1)], || {
        let breaker = shared(builder().0.half_open_capacity(1));
        breaker.transition_to(State::HalfOpen);
        let (parcel, crowd) = (Arc::new(Parcel::new()), Arc::new(Crowd::default()));
        let probe = || {
            let (breaker, parcel, crowd) = (breaker.clone(), parcel.clone(), crowd.clone());
            thread::spawn(move || {
                let Ok(permit) = breaker.try_acquire() else { return false };
                crowd.enter();
                parcel.work_on();
                crowd.leave();
                permit.ignore();
                true
            })
        };
        let (a, b) = (probe(), probe());
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        assert_eq!(parcel.look(), u32::from(a) + u32::from(b));
        (a, b, crowd.most())
    });
}

#[test]
fn two_slots_admit_two_of_three_probes() {
    explore_crowded(&[Sched], [2], || {
        let breaker = shared(builder().0.half_open_capacity(2));
        breaker.transition_to(State::HalfOpen);
        let probes = [(); 3].map(|()| beside(&breaker, |breaker| breaker.try_acquire_owned().ok()));
        let held = joined(probes);
        held.iter().flatten().count()
    });
}
