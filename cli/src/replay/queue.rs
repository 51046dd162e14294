use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

/// Things to come, the earliest first; of those at one time, the one that was put in first.
#[derive(Debug)]
pub(super) struct TimeQueue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    pushed: u64,
}

#[derive(Debug)]
struct Entry<T> {
    time: Duration,
    number: u64,
    item: T,
}

impl<T> TimeQueue<T> {
    pub(super) fn new() -> Self {
        TimeQueue { heap: BinaryHeap::new(), pushed: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn push(&mut self, time: Duration, item: T) {
        self.heap.push(Reverse(Entry { time, number: self.pushed, item }));
        self.pushed += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(Duration, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.time, entry.item))
    }

    /// Takes the earliest, if its time has come.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<(Duration, T)> {
        if self.heap.peek()?.0.time <= now { self.pop() } else { None }
    }
}

impl<T> Entry<T> {
    fn rank(&self) -> (Duration, u64) {
        (self.time, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_the_order_in_which_they_came() {
        let mut queue = TimeQueue::new();
        for (second, item) in [(3, 'c'), (1, 'a'), (3, 'd'), (1, 'b')] {
            queue.push(Duration::from_secs(second), item);
        }
        assert_eq!(queue.pop_due(Duration::ZERO), None);
        let due: String = std::iter::from_fn(|| queue.pop_due(Duration::from_secs(1))).map(|(_, item)| item).collect();
        let rest: String = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!((due.as_str(), rest.as_str()), ("ab", "cd"));
    }
}
