use std::iter::once;

use super::{Bytes, Growth, Held, KEYS, KeyUse, Row, THREADS, Use};
use crate::table::{Table, time};

/// All of it as Markdown: cost by threads, memory by threads, cost and memory by keys.
pub(crate) fn tables(growth: &Growth) -> String {
    format!(
        "{}Cost of a call and of a snapshot, by the number of live threads that have used the breaker; {} rounds\n\n{}\n\
         A success by a thread that shares a stripe takes {}, and one `fetch_add` {}.\n\n\
         Bytes of one breaker, itself and on the heap, by the number of live threads that have made 3 calls each\n\n{}\n\
         Cost of a call for a key, and bytes for each key of 8 bytes, by the number of keys in the registry\n\n{}",
        growth.warning,
        growth.rounds,
        threads(growth),
        time(growth.figure(Row::SharedStripe)),
        time(growth.figure(Row::FetchAdd)),
        bytes(&growth.bytes),
        keys(growth),
    )
}

fn table<const N: usize>(heads: [&str; N]) -> Table {
    Table::new(heads.map(str::to_owned).into_iter())
}

fn threads(growth: &Growth) -> Table {
    let mut table = table([
        "threads",
        "a success, by the last thread",
        "a failure, default rule",
        "a failure, last 100 calls",
        "a failure, 10 s and slow calls",
        "`metrics()`",
        "bytes, default rule",
        "bytes, 10 s and slow calls",
    ]);
    for threads in THREADS {
        let uses =
            [Use::Success, Use::Failure, Use::FailureLast100, Use::FailureLast10Seconds, Use::Metrics].into_iter();
        let held = growth.bytes.after(threads);
        let cells = once(threads.to_string())
            .chain(uses.map(|which| time(growth.figure(Row::Threads(threads, which)))))
            .chain([held.default_rule, held.time_and_slow].map(|bytes| bytes.to_string()));
        table.row(cells);
    }
    table
}

fn bytes(bytes: &Bytes) -> Table {
    let mut table = table(["threads", "default rule", "10 s and slow calls"]);
    let mut row = |when: String, held: Held| {
        table.row([when, held.default_rule.to_string(), held.time_and_slow.to_string()].into_iter());
    };
    for &(threads, held) in &bytes.held {
        row(threads.to_string(), held);
    }
    let (small, busy, calls) = (Bytes::SMALL, Bytes::BUSY, Bytes::BUSY_CALLS);
    row(format!("{small}, and then {busy} that make {calls} calls each"), bytes.after_heavy_use);
    table
}

fn keys(growth: &Growth) -> Table {
    let mut table = table([
        "keys",
        "a keyed call",
        "on 2 threads",
        "an async one",
        "on 2 threads",
        "a new key, the others closed",
        "a new key, the others open",
        "bytes per key, 1 thread",
        "4 threads",
    ]);
    for keys in KEYS {
        let uses =
            [KeyUse::CallSync, KeyUse::CallSyncBy2, KeyUse::Call, KeyUse::CallBy2, KeyUse::New, KeyUse::NewBesideOpen];
        let cells = once(keys.to_string())
            .chain(uses.map(|which| time(growth.figure(Row::Keys(keys, which)))))
            .chain(growth.bytes_per_key(keys).map(|bytes| format!("{bytes:.0}")));
        table.row(cells);
    }
    table
}
