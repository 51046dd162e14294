use std::time::Duration;

use proptest::prelude::*;

use super::message::{Answer, Message, Phase, Reply, StandingOrder, View};
use super::op::{Backoff, Quorum};
use super::text::{escape, is_name, millis, registry_name, shown, unescape};

fn duration() -> impl Strategy<Value = Duration> {
    (0..=10_u64 * 365 * 24 * 3600 * 1000).prop_map(Duration::from_millis)
}

fn number() -> impl Strategy<Value = u64> {
    0..=1_u64 << 53
}

fn member() -> impl Strategy<Value = String> {
    (".{1,20}", any::<u64>()).prop_map(|(name, unique)| format!("{}+{unique:016x}", escape(&name)))
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Closed),
        Just(Phase::Reset),
        duration().prop_map(Phase::Open),
        (duration(), member()).prop_map(|(remaining, prober)| Phase::Probing(remaining, prober)),
    ]
}

fn order() -> impl Strategy<Value = StandingOrder> {
    (any::<bool>(), ".{0,50}", ".{0,80}", proptest::option::of(duration()))
        .prop_map(|(is_open, by, because, remaining)| StandingOrder { is_open, by, because, remaining })
}

fn view() -> impl Strategy<Value = View> {
    let numbers = (number(), number(), number(), number(), number());
    ((".{1,30}", ".{0,30}"), phase(), duration(), numbers, proptest::option::of(order())).prop_map(
        |((name, key), phase, hold, (version, generation, token, votes, ordered_at), order)| {
            let name = if key.is_empty() { escape(&name) } else { registry_name(&name, &key) };
            View { name, version, phase, generation, token, votes, hold, ordered_at, order }
        },
    )
}

proptest! {
    #[test]
    fn a_text_comes_back_as_it_was_escaped(text in any::<String>()) {
        let escaped = escape(&text);
        prop_assert_eq!(unescape(&escaped), Some(text));
        let is_reserved = escaped.contains([' ', '\n', '/', ':', '{', '}', '*', '~', '+']);
        prop_assert!(!is_reserved);
    }

    #[test]
    fn names_collide_only_if_they_are_the_same(one in (".{1,5}", ".{0,5}"), other in (".{1,5}", ".{0,5}")) {
        let name = |(registry, key): &(String, String)| {
            if key.is_empty() { escape(registry) } else { registry_name(registry, key) }
        };
        prop_assert!(is_name(&name(&one)));
        prop_assert_eq!(name(&one) == name(&other), one == other);
    }

    #[test]
    fn a_view_comes_back_as_it_was_sent(view in view()) {
        prop_assert_eq!(View::decode(&view.encode()), Ok(view));
    }

    #[test]
    fn a_message_comes_back_as_it_was_sent(
        run in member(), before in 0..1_000_u64, views in proptest::collection::vec(view(), 0..4),
    ) {
        let message = Message { run, before, seq: 1 << 53, views };
        prop_assert_eq!(Message::decode(message.encode().as_bytes()), Ok(message));
    }

    #[test]
    fn a_reply_comes_back_as_it_was_sent(
        run in member(), live in number(), views in proptest::collection::vec(view(), 0..4),
        is_granted in any::<bool>(),
    ) {
        let reply = Reply { seq: 1 << 53, run, live, answers: vec![Answer { is_granted, views }] };
        let texts = reply.encode();
        prop_assert_eq!(Reply::decode(&texts[0], texts[1..].iter().map(String::as_str)), Ok(reply));
    }

    #[test]
    fn a_view_that_was_tampered_with_is_refused_or_says_the_same_again(view in view(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = view.encode().into_bytes();
        let place = at % bytes.len();
        bytes[place] = byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(view) = View::decode(&text) {
            prop_assert_eq!(View::decode(&view.encode()), Ok(view));
        }
    }

    #[test]
    fn a_backoff_grows_up_to_its_maximum(hold in 1..100_000_u64, factor in 1.0..9.0_f64, generation in 0..2_000_u64) {
        let backoff = Backoff { hold: Duration::from_millis(hold), factor, max: Duration::from_secs(3_600) };
        let (now, next) = (backoff.after(generation), backoff.after(generation + 1));
        prop_assert!(now <= next && hold <= now && next <= 3_600_000);
    }
}

#[test]
fn what_is_too_long_or_out_of_range_is_refused() {
    let good = View::unknown("db", 1).encode();
    assert!(View::decode(&good).is_ok());
    let bad = [
        good.replace("db", &"x".repeat(513)),
        good.replace("db", "a/b/c"),
        good.replace("db", "d b"),
        good.replace("db", "%ZZ"),
        good.replace("db", "%64b"),
        good.replace("db 1", "db 9007199254740993"),
        good.replace("db 1", "db -1"),
        good.replace("db 1", "db 1e3"),
        good.replace("db 1", "db +1"),
        good.replace(" c 0 ", " c 315360000001 "),
        good.replace(" c ", " x "),
        good.replace(" c ", " p "),
        format!("{good} more"),
        good.rsplit_once(' ').unwrap().0.to_owned(),
        String::new(),
        "x".repeat(10_000),
    ];
    for line in bad {
        assert!(View::decode(&line).is_err(), "{line}");
    }
    assert!(Message::decode(&vec![b'x'; (1 << 20) + 1]).is_err());
    assert!(Message::decode(b"a+1 2 1").is_err());
    assert!(Message::decode(b"a+1 1 2").is_ok());
    let ahead = format!("a+1 0 1\n{}", View::unknown("db", 2).encode());
    assert!(Message::decode(ahead.as_bytes()).is_err(), "a breaker is ahead of the store");
}

#[test]
fn a_quorum_is_a_share_with_a_floor_or_a_count() {
    let share = Quorum::share(0.5);
    let votes = [0, 1, 2, 3, 4, 5, 32].map(|members| share.votes_of(members));
    assert_eq!(votes, [2, 2, 2, 2, 2, 3, 16]);
    assert_eq!(Quorum::share(1.0).at_least(3).votes_of(2), 3);
    assert_eq!(Quorum::count(1).votes_of(10_000), 1);
    assert_eq!(share.to_string(), "share(0.5).at_least(2)");
    assert_eq!(Quorum::count(3).to_string(), "count(3)");
}

#[test]
fn a_name_is_shown_as_it_was_given() {
    assert_eq!(shown(&escape("eu/payments")), "eu/payments");
    assert_eq!(shown(&registry_name("hosts", "down.example:80")), "hosts/down.example:80");
    assert_eq!(super::prefix("a b"), "tripcoil:1:{a%20b}:");
    assert_eq!(millis(Duration::from_nanos(1)), 1);
    assert_eq!(millis(Duration::MAX), 10 * 365 * 24 * 3600 * 1000);
}
