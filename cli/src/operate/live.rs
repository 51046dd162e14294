//! The overview, kept up to date by the events of a console.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::facts::Overview;

/// What the messages so far add up to.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Everything but the breakers.
    head: Map<String, Value>,
    rows: HashMap<u64, Map<String, Value>>,
    order: Vec<u64>,
}

impl Live {
    /// Takes the next message of a stream. Returns the ids of the breakers that it changed.
    pub(super) fn apply(&mut self, message: Map<String, Value>) -> Vec<u64> {
        let mut changed = Vec::new();
        for (member, value) in message {
            match (&*member, value) {
                ("breakers", Value::Array(rows)) => {
                    changed = rows.into_iter().filter_map(|row| self.merge(row)).collect();
                }
                ("order", Value::Array(order)) => self.order = order.iter().filter_map(Value::as_u64).collect(),
                (_, value) => drop(self.head.insert(member, value)),
            }
        }
        let order = &self.order;
        if self.rows.len() > order.len() {
            let listed: std::collections::HashSet<_> = order.iter().collect();
            self.rows.retain(|id, _| listed.contains(id));
        }
        changed
    }

    fn merge(&mut self, row: Value) -> Option<u64> {
        let Value::Object(row) = row else { return None };
        let id = row.get("id")?.as_u64()?;
        // Only a whole row has the name, for that never changes.
        if row.contains_key("name") {
            self.rows.insert(id, row);
            return Some(id);
        }
        let former = self.rows.get_mut(&id)?;
        for (member, value) in row {
            if value.is_null() {
                former.remove(&member);
            } else {
                former.insert(member, value);
            }
        }
        Some(id)
    }

    pub(super) fn overview(&self) -> Result<Overview, serde_json::Error> {
        let mut whole = self.head.clone();
        let rows = self.order.iter().filter_map(|id| self.rows.get(id));
        whole.insert("breakers".into(), rows.map(|row| Value::Object(row.clone())).collect());
        Overview::deserialize(Value::Object(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(live: &mut Live, message: Value) -> Vec<u64> {
        live.apply(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn differences_are_merged() {
        let mut live = Live::default();
        let row =
            |id: u64, name: &str| json!({"id": id, "name": name, "state": "open", "retry_at": 9, "cause": "manual"});
        apply(&mut live, json!({"at": 1, "matched": 2, "order": [1, 2], "breakers": [row(1, "a"), row(2, "b")]}));
        let changed = apply(
            &mut live,
            json!({"at": 2, "order": [2, 1], "breakers": [{"id": 1, "state": "closed", "retry_at": null}]}),
        );
        assert_eq!(changed, [1]);
        let overview = live.overview().unwrap();
        assert_eq!((overview.at, overview.matched), (2, 2));
        let [b, a] = &overview.breakers[..] else { panic!("{overview:?}") };
        assert_eq!((&*b.name, &*a.name, &*a.state, a.retry_at), ("b", "a", "closed", None));
        assert_eq!(a.cause.as_deref(), Some("manual"));
        // A whole row replaces what was known.
        apply(&mut live, json!({"order": [1], "breakers": [{"id": 1, "name": "a", "state": "closed"}]}));
        let overview = live.overview().unwrap();
        assert_eq!(overview.breakers.len(), 1);
        assert_eq!(overview.breakers[0].cause, None);
        assert_eq!(live.rows.len(), 1);
    }

    #[test]
    fn a_difference_to_nothing_is_dropped() {
        let mut live = Live::default();
        assert!(
            apply(&mut live, json!({"order": [7, "x"], "breakers": [{"id": 7, "state": "open"}, 3, {}]})).is_empty()
        );
        assert!(live.overview().unwrap().breakers.is_empty());
    }
}
