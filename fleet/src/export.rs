//! The status of a member, through the `metrics` facade.

use metrics::{counter, gauge};

use crate::status::{Standing, Status};

pub(crate) fn export(fleet: &str, status: &Status) {
    let labels = [("fleet", fleet.to_owned())];
    let standing = |wanted| status.breakers.iter().filter(|breaker| breaker.standing == wanted).count();
    gauge!("circuit_breaker_fleet_connected", &labels).set(f64::from(u8::from(status.is_connected)));
    gauge!("circuit_breaker_fleet_members", &labels).set(float(status.members));
    gauge!("circuit_breaker_fleet_behind", &labels).set(float(status.behind));
    gauge!("circuit_breaker_fleet_held", &labels).set(float(standing(Standing::Held) as u64));
    gauge!("circuit_breaker_fleet_prober", &labels).set(float(standing(Standing::Probing) as u64));
    gauge!("circuit_breaker_fleet_orders", &labels).set(float(status.orders.len() as u64));
    counter!("circuit_breaker_fleet_votes_total", &labels).absolute(status.counts.votes);
    counter!("circuit_breaker_fleet_elections_total", &labels).absolute(status.counts.elections);
    counter!("circuit_breaker_fleet_store_errors_total", &labels).absolute(status.counts.store_errors);
    counter!("circuit_breaker_fleet_malformed_total", &labels).absolute(status.counts.malformed);
    counter!("circuit_breaker_fleet_dropped_total", &labels).absolute(status.counts.dropped);
}

#[expect(clippy::cast_precision_loss, reason = "a fleet has fewer members than 2⁵²")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    type Values = Arc<Mutex<BTreeMap<String, f64>>>;

    struct Recording(Values);

    struct Series(Values, String);

    impl Series {
        fn put(&self, value: f64) {
            self.0.lock().unwrap().insert(self.1.clone(), value);
        }
    }

    impl CounterFn for Series {
        fn increment(&self, _: u64) {}
        fn absolute(&self, value: u64) {
            self.put(float(value));
        }
    }

    impl GaugeFn for Series {
        fn increment(&self, _: f64) {}
        fn decrement(&self, _: f64) {}
        fn set(&self, value: f64) {
            self.put(value);
        }
    }

    impl Recorder for Recording {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(Series(self.0.clone(), key.to_string())))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(Series(self.0.clone(), key.to_string())))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn what_the_docs_of_the_status_list_is_published() {
        let values = Values::default();
        let mut status = Status { is_connected: true, members: 7, ..Status::default() };
        status.counts.votes = 3;
        metrics::with_local_recorder(&Recording(values.clone()), || export("checkout", &status));
        let values = values.lock().unwrap();
        let documented = include_str!("status.rs").lines().filter(|line| line.starts_with("/// | `circuit_breaker_"));
        let mut series = 0;
        for line in documented {
            let name = line.split('`').nth(1).unwrap();
            assert!(values.keys().any(|key| key.contains(name) && key.contains("checkout")), "{name} is missing");
            series += 1;
        }
        assert_eq!(values.len(), series);
        let value = |name: &str| *values.iter().find(|(key, _)| key.contains(name)).unwrap().1;
        assert_eq!((value("fleet_connected"), value("fleet_members"), value("votes_total")), (1.0, 7.0, 3.0));
    }
}
