use std::sync::Arc;

use super::Engine;
use crate::generations::{Generation, Generations, Windows};
use crate::rules::Rules;
use crate::window::{Rates, Windows as Sliding};

/// What a generation has settled.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) rules: &'a Rules,
    pub(super) lately: Option<&'a Sliding>,
}

impl Engine {
    /// The rules that hold.
    #[inline]
    pub(super) fn rules(&self) -> &Rules {
        match self.current.number() {
            0 => self.first_rules(),
            later => self.later_settings(later).rules,
        }
    }

    /// The windows of the rates that hold, if any do.
    #[inline]
    pub(super) fn lately(&self) -> Option<&Sliding> {
        match self.current.number() {
            0 => self.first_lately(),
            later => self.later_settings(later).lately,
        }
    }

    pub(super) fn settings(&self, generation: u32) -> Settings<'_> {
        match generation {
            0 => Settings { rules: self.first_rules(), lately: self.first_lately() },
            later => self.later_settings(later),
        }
    }

    #[inline]
    fn first_rules(&self) -> &Rules {
        const DEFAULT: &Rules = &Rules::DEFAULT;
        self.terms.as_deref().map_or(DEFAULT, |terms| &terms.rules)
    }

    #[inline]
    fn first_lately(&self) -> Option<&Sliding> {
        self.cold.get()?.lately.as_deref()
    }

    #[cold]
    fn later_settings(&self, number: u32) -> Settings<'_> {
        let Generation { rules, windows } = self.generation(number);
        let lately = match windows {
            Windows::Own(lately) => lately.as_deref(),
            Windows::Of(earlier) => self.settings(*earlier).lately,
        };
        Settings { rules, lately }
    }

    #[cold]
    fn generation(&self, number: u32) -> &Generation {
        let found = self.cold.get().and_then(|cold| cold.later.get()).and_then(|later| later.get(number));
        found.expect("a generation is added before its mode is told")
    }

    pub(crate) fn reconfigure(&self, rules: Rules, rates: Option<Arc<Rates>>) {
        let later = self.cold().later.get_or_init(|| Box::new(Generations::new()));
        let adding = later.changing.lock();
        let current = self.current.number();
        let held = self.settings(current);
        let is_same_window = held.lately.map(Sliding::rates) == rates.as_deref();
        if is_same_window && *held.rules == rules {
            return;
        }
        let windows = if is_same_window {
            self.windows_of(current)
        } else {
            Windows::Own(rates.map(|rates| Box::new(self.begin(rates))))
        };
        let number = current + 1;
        later.add(number, Generation { rules, windows });
        let Settings { rules, lately } = self.settings(number);
        self.current.set(number, rules, lately);
        drop(adding);
        // There may be more room for probes now.
        self.queue.notify(usize::MAX);
    }

    fn windows_of(&self, generation: u32) -> Windows {
        match generation {
            0 => Windows::Of(0),
            later => match self.generation(later).windows {
                Windows::Own(_) => Windows::Of(later),
                Windows::Of(earlier) => Windows::Of(earlier),
            },
        }
    }

    /// Empty windows.
    fn begin(&self, rates: Arc<Rates>) -> Sliding {
        let epoch = self.cell.load().epoch();
        Sliding::new(rates).beginning(epoch, self.totals().calls_in(epoch))
    }
}
