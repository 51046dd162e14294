/// Ways to break the protocol: the name, the file, what it replaces, and by what. The search has to find each.
const MUTANTS: [(&str, &str, &str, &str); 5] = [
    (
        "no-token-check",
        "model.rs",
        "State::Probing { until, prober } if prober == member && breaker.token == token => Some(until),",
        "State::Probing { until, .. } => Some(until),",
    ),
    (
        "refused-lease-prolongs",
        "model.rs",
        "if now < due || waits && now < due + ttl {",
        "if now < due || waits && now < due + ttl {
            if let State::Open { until } | State::Probing { until, .. } = &mut breaker.state {
                *until += ttl;
            }",
    ),
    ("votes-of-the-dead", "model.rs", "**expiry > now && self.members.contains_key(*member);", "**expiry > now;"),
    ("lease-before-it-is-due", "model.rs", "if now < due || waits", "if waits"),
    (
        "lease-from-the-reply",
        "member.rs",
        "let until = (sent + self.terms.lease)",
        "let until = (now + self.terms.lease)",
    ),
];
