use std::collections::HashMap;

/// The keys so far, each with a number, and not more than there is room for.
pub(super) struct Keys {
    numbers: HashMap<Box<str>, u32>,
    most: usize,
}

impl Keys {
    pub(super) fn new(most: usize) -> Self {
        Keys { numbers: HashMap::new(), most: most.min(u32::MAX as usize) }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a key; `None` if it is a new one and there is no more room.
    pub(super) fn index(&mut self, key: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(key) {
            return Some(*number);
        }
        if self.numbers.len() >= self.most {
            return None;
        }
        let number = u32::try_from(self.numbers.len()).expect("no more than `most`");
        self.numbers.insert(key.into(), number);
        Some(number)
    }

    /// The keys in the order of their numbers.
    pub(super) fn into_names(self) -> Vec<Box<str>> {
        let mut names: Vec<_> = self.numbers.into_iter().collect();
        names.sort_by_key(|(_, number)| *number);
        names.into_iter().map(|(name, _)| name).collect()
    }
}
