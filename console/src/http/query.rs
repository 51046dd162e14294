use ::http::StatusCode;
use tripcoil::State;

use super::answer::Refusal;
use crate::json::STATES;

/// What a request is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    /// What the name contains, in lower case.
    pub(super) text: String,
    pub(super) states: Vec<State>,
    pub(super) registry: Option<String>,
    /// One breaker.
    pub(super) name: Option<String>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// How many breakers are sent at once, if nothing else is asked for.
const LIMIT: usize = 100;
const HIGHEST_LIMIT: usize = 1_000;

impl Query {
    pub(super) fn read(query: &str) -> Result<Query, Refusal> {
        let refuse = |error: String| Err(Refusal::new(StatusCode::BAD_REQUEST, error));
        let mut read = Query { limit: LIMIT, ..Query::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "q" => read.text = value.to_lowercase(),
                "registry" => read.registry = Some(value.into_owned()),
                "name" => read.name = Some(value.into_owned()),
                "state" => {
                    for name in value.split(',').filter(|name| !name.is_empty()) {
                        let Some(state) = STATES.into_iter().find(|state| state.as_str() == name) else {
                            return refuse(format!(
                                "`state` is {name:?}, allowed are the five states, with commas between"
                            ));
                        };
                        read.states.push(state);
                    }
                }
                "offset" => match value.parse() {
                    Ok(offset) => read.offset = offset,
                    Err(_) => return refuse(format!("`offset` is {value:?}, allowed is a number from 0")),
                },
                "limit" => match value.parse() {
                    Ok(limit @ 1..=HIGHEST_LIMIT) => read.limit = limit,
                    _ => return refuse(format!("`limit` is {value:?}, allowed is 1 to {HIGHEST_LIMIT}")),
                },
                _ => return refuse(format!("unknown parameter {name:?}")),
            }
        }
        Ok(read)
    }
}
