//! Which breakers are meant.

use super::client::{Client, Query};
use super::facts::{Breaker, Overview};
use super::fleet::Fleet;
use super::text::printable;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Targets {
    /// The full names of the breakers.
    #[arg(value_name = "NAME", required_unless_present = "matching")]
    names: Vec<String>,
    /// Every breaker whose full name matches this pattern. `*` matches any text.
    #[arg(long, value_name = "PATTERN", conflicts_with = "names")]
    matching: Option<String>,
    /// Only breakers of this registry.
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Only breakers that are in no registry.
    #[arg(long, conflicts_with = "registry")]
    no_registry: bool,
}

/// What a source has of them.
pub(super) struct Found {
    pub(super) overview: Overview,
    /// In the order of the names; by name if they are matched.
    pub(super) breakers: Vec<Breaker>,
}

impl Targets {
    pub(super) fn one(name: String, registry: Option<String>) -> Targets {
        Targets { names: vec![name], matching: None, registry, no_registry: false }
    }

    /// One breaker is acted on without a question.
    pub(super) fn are_many(&self) -> bool {
        self.matching.is_some() || self.names.len() > 1
    }

    pub(super) fn find(&self, client: &Client) -> Result<Found, Failure> {
        let Some(pattern) = &self.matching else { return self.find_named(client) };
        let mut overview = client.all(&self.query(pattern.split('*')))?;
        let mut breakers = std::mem::take(&mut overview.breakers);
        breakers.retain(|breaker| self.is_wanted(breaker) && is_like(&breaker.name, pattern));
        if breakers.is_empty() {
            return Err(Failure::unknown(format!("no breaker is like `{}`", printable(pattern))));
        }
        breakers.sort_by(|one, other| (&one.registry, &one.name).cmp(&(&other.registry, &other.name)));
        Ok(Found { overview, breakers })
    }

    /// The same in a fleet. Its store does not list closed breakers, so a breaker that is named need not be listed.
    pub(super) fn find_in(&self, fleet: &Fleet, may_be_new: bool) -> Result<Found, Failure> {
        let (mut overview, _) = fleet.overview(&Query::default())?;
        let listed = std::mem::take(&mut overview.breakers);
        let mut breakers = Vec::new();
        if let Some(pattern) = &self.matching {
            breakers.extend(listed.into_iter().filter(|one| self.is_wanted(one) && is_like(&one.name, pattern)));
            if breakers.is_empty() {
                let shown = printable(pattern);
                return Err(Failure::unknown(format!(
                    "no breaker that is not closed matches `{shown}`; give full names"
                )));
            }
            return Ok(Found { overview, breakers });
        }
        for name in &self.names {
            let mut named = listed.iter().filter(|one| self.is_wanted(one) && one.name == *name);
            let found = match (named.next(), named.next()) {
                (Some(one), None) => one.clone(),
                (None, _) => {
                    let place =
                        self.registry.as_deref().map_or_else(|| name.as_str().into(), |of| (of, &**name).into());
                    fleet.find(&place, may_be_new)?
                }
                (Some(_), Some(_)) => {
                    let shown = printable(name);
                    let hint = "give --registry or --no-registry";
                    return Err(Failure::conflict(format!("several breakers are named `{shown}`; {hint}")));
                }
            };
            if !breakers
                .iter()
                .any(|former: &Breaker| (&former.registry, &former.name) == (&found.registry, &found.name))
            {
                breakers.push(found);
            }
        }
        Ok(Found { overview, breakers })
    }

    fn find_named(&self, client: &Client) -> Result<Found, Failure> {
        let mut found: Option<Found> = None;
        for name in &self.names {
            let mut overview = client.all(&self.query([name.as_str()].into_iter()))?;
            let mut named = std::mem::take(&mut overview.breakers);
            named.retain(|breaker| self.is_wanted(breaker) && breaker.name == *name);
            let shown = printable(name);
            let breaker = match named.len() {
                0 => return Err(Failure::unknown(format!("no breaker is named `{shown}`{}", self.place()))),
                1 => named.swap_remove(0),
                several => {
                    let places: Vec<_> = named.iter().map(Breaker::place).collect();
                    return Err(Failure::conflict(format!(
                        "{several} breakers are named `{shown}`: {}; give --registry or --no-registry",
                        places.join(", ")
                    )));
                }
            };
            let found = found.get_or_insert_with(|| Found { overview, breakers: Vec::new() });
            if found.breakers.iter().all(|former| former.id != breaker.id) {
                found.breakers.push(breaker);
            }
        }
        found.ok_or_else(|| Failure::usage("no breaker is named"))
    }

    fn place(&self) -> String {
        match &self.registry {
            Some(registry) => format!(" in registry `{}`", printable(registry)),
            None if self.no_registry => " outside of registries".into(),
            None => String::new(),
        }
    }

    fn is_wanted(&self, breaker: &Breaker) -> bool {
        match &self.registry {
            Some(registry) => breaker.registry.as_ref() == Some(registry),
            None => !(self.no_registry && breaker.registry.is_some()),
        }
    }

    /// The console compares without case, which changes the length of some letters: it is asked for what is ASCII.
    fn query<'a>(&self, literals: impl Iterator<Item = &'a str>) -> Query {
        let runs = literals.flat_map(|literal| literal.split(|c: char| !c.is_ascii()));
        let longest = runs.max_by_key(|run| run.len()).filter(|run| !run.is_empty());
        let text = longest.map(|run| run[..run.len().min(256)].to_owned());
        Query { text, registry: self.registry.clone(), ..Query::default() }
    }
}

/// Whether the whole name is like the pattern. Takes time in the product of their lengths at most.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "x"),
            ("db-*", "db-"),
            ("db-*", "db-1"),
            ("*-1", "db-1"),
            ("d*b*1", "db-b-1"),
            ("a**b", "ab"),
            ("same", "same"),
            ("*ü*", "größe grün"),
        ] {
            assert!(is_like(name, pattern), "{pattern} {name}");
        }
        for (pattern, name) in
            [("", "x"), ("db-*", "Db-1"), ("a*a", "a"), ("*ab*ab", "ab"), ("same", "same1"), ("d?", "db"), ("b*", "ab")]
        {
            assert!(!is_like(name, pattern), "{pattern} {name}");
        }
    }
}
