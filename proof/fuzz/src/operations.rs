//! Bytes become the settings of a breaker and a sequence of operations, and the breaker has to do what the plain
//! reference of `tests/model` does.

#![no_main]

#[path = "../../../tests/model/pair.rs"]
mod pair;
#[allow(dead_code, reason = "others use more of it")]
#[path = "../../../tests/model/reference.rs"]
mod reference;

use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use pair::{Operation, compare};
use reference::{MILLI, Rates, Settings, Share, Span, Steps};
use tripcoil::{Dropped, Outcome, State};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    let Ok((settings, start)) = beginning(&mut bytes) else { return };
    let mut operations = Vec::new();
    while !bytes.is_empty() {
        let Ok(operation) = operation(&mut bytes) else { break };
        operations.push(operation);
    }
    if let Err(difference) = compare(&settings, start, &operations) {
        panic!("{difference}\n{settings:?} from {start}\n{operations:?}");
    }
});

fn beginning(bytes: &mut Unstructured<'_>) -> Result<(Settings, u64)> {
    let rates = if bytes.ratio(2, 3)? { Some(rates(bytes)?) } else { None };
    let error_threshold = if rates.is_none() || bytes.arbitrary()? { Some(bytes.int_in_range(1..=6)?) } else { None };
    let reset_timeout = bytes.int_in_range(1..=100)?;
    let half_open_capacity = bytes.int_in_range(1..=3)?;
    let settings = Settings {
        error_threshold,
        rates,
        reset_timeout,
        backoff_factor: *bytes.choose(&[1.0, 1.5, 2.0])?,
        backoff_max: reset_timeout * bytes.int_in_range(1..=8)?,
        success_threshold: bytes.int_in_range(1..=4)?,
        half_open_error_threshold: bytes.int_in_range(1..=3)?,
        half_open_capacity,
        half_open_max_capacity: half_open_capacity + bytes.int_in_range(0..=3)?,
        probe_timeout: bytes.int_in_range(1..=150)?,
        dropped_calls: match bytes.int_in_range(0..=2)? {
            0 => Dropped::Ignore,
            1 => Dropped::Failure,
            _ => Dropped::FailureAfter(Duration::from_millis(bytes.int_in_range(1..=99)?)),
        },
        recovery: if bytes.ratio(1, 3)? { Some(steps(bytes)?) } else { None },
    };
    let start = *bytes.choose(&[0, 5_000 * MILLI + MILLI / 2, 1_700_000_000_000 * MILLI])?;
    Ok((settings, start))
}

fn rates(bytes: &mut Unstructured<'_>) -> Result<Rates> {
    let (span, most) = if bytes.arbitrary()? {
        let calls = bytes.int_in_range(1..=60)?;
        (Span::Calls(calls), calls)
    } else {
        (Span::Millis(bytes.int_in_range(16..=1_000)?), 40)
    };
    let minimum_calls = bytes.int_in_range(1..=most)?;
    let kind = bytes.int_in_range(0..=3)?;
    let error_rate = if matches!(kind, 0 | 2) { Some(share(bytes)?) } else { None };
    let slow = if matches!(kind, 1 | 2) { Some((share(bytes)?, bytes.int_in_range(1..=100)?)) } else { None };
    let drop_rate = if kind == 3 || bytes.ratio(1, 3)? { Some(share(bytes)?) } else { None };
    Ok(Rates { error_rate, slow, drop_rate, span, minimum_calls })
}

fn steps(bytes: &mut Unstructured<'_>) -> Result<Steps> {
    let mut shares = Vec::new();
    for _ in 0..bytes.int_in_range(1..=3)? {
        shares.push(share(bytes)?);
    }
    shares.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    Ok(Steps { shares, each: bytes.int_in_range(10..=100)? })
}

fn share(bytes: &mut Unstructured<'_>) -> Result<Share> {
    let whole = *bytes.choose(&[7, 10, 100])?;
    Ok(Share { part: bytes.int_in_range(1..=whole)?, whole })
}

fn operation(bytes: &mut Unstructured<'_>) -> Result<Operation> {
    Ok(match bytes.int_in_range(0..=31_u8)? {
        0..=7 => Operation::Call(if bytes.arbitrary()? { Outcome::Success } else { Outcome::Failure }),
        8 | 9 => Operation::Call(outcome(bytes)?),
        10..=14 => Operation::Admit,
        15..=18 => Operation::Settle(place(bytes)?, outcome(bytes)?),
        19 if bytes.arbitrary()? => Operation::Lose(bytes.int_in_range(1..=10)?),
        19 => Operation::Drop(place(bytes)?),
        20 => Operation::StopTiming(place(bytes)?),
        21..=24 => Operation::Advance(halves(bytes, 20)?),
        25 => Operation::Advance(halves(bytes, 400)?),
        26 => Operation::Advance(halves(bytes, 60_000)?),
        27 => Operation::StepBack(halves(bytes, 400)?),
        28 | 29 => Operation::TransitionTo(*bytes.choose(&[
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::ForcedClosed,
        ])?),
        30 => Operation::OpenFor(Duration::from_micros(bytes.int_in_range(0..=60_000)?)),
        _ => Operation::Reset,
    })
}

fn place(bytes: &mut Unstructured<'_>) -> Result<usize> {
    bytes.int_in_range(0..=15)
}

/// So many halves of a millisecond, and less than `most`.
fn halves(bytes: &mut Unstructured<'_>, most: u64) -> Result<u64> {
    Ok(bytes.int_in_range(0..=most - 1)? * MILLI / 2)
}

fn outcome(bytes: &mut Unstructured<'_>) -> Result<Outcome> {
    Ok(match bytes.int_in_range(0..=9_u8)? {
        0..=3 => Outcome::Success,
        4..=7 => Outcome::Failure,
        8 => Outcome::Ignored,
        _ => Outcome::Trip { open_for: Duration::from_millis(bytes.int_in_range(0..=200)?) },
    })
}
