use proc_macro::{Span, TokenStream, TokenTree};

use crate::Problem;

/// What stands in the parentheses of the attribute.
pub(crate) struct Options {
    pub(crate) breaker: TokenStream,
    pub(crate) judge: Option<TokenStream>,
    pub(crate) ignoring: Option<TokenStream>,
    pub(crate) probe: Option<TokenTree>,
    pub(crate) flatten: bool,
}

impl Options {
    pub(crate) fn read(tokens: TokenStream) -> Result<Self, Problem> {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        if tokens.last().is_some_and(|last| is_punct(last, ',')) {
            tokens.pop();
        }
        let mut commas = (0..tokens.len()).filter(|&at| begins_option(&tokens[at..])).collect::<Vec<_>>();
        commas.push(tokens.len());
        let breaker: TokenStream = tokens[..commas[0]].iter().cloned().collect();
        if breaker.is_empty() || is_option(&tokens[..commas[0]]) {
            let text = "the breaker is missing: `#[guarded(BREAKER)]`";
            return Err(Problem::new(tokens.first().map_or_else(Span::call_site, TokenTree::span), text));
        }
        let mut options = Options { breaker, judge: None, ignoring: None, probe: None, flatten: false };
        for ends in commas.windows(2) {
            options.take(&tokens[ends[0] + 1..ends[1]])?;
        }
        if let (Some(_), Some(ignoring)) = (&options.judge, &options.ignoring) {
            let at = ignoring.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
            return Err(Problem::new(at, "`judge` and `ignoring` exclude each other"));
        }
        Ok(options)
    }

    /// Takes one option, which begins with its name.
    fn take(&mut self, tokens: &[TokenTree]) -> Result<(), Problem> {
        let (name, value) = (&tokens[0], tokens.get(2..).unwrap_or_default());
        let (text, has_value) = (name.to_string(), tokens.len() > 1);
        let place = match text.as_str() {
            "judge" => &mut self.judge,
            "ignoring" => &mut self.ignoring,
            "probe" => return self.take_probe(name.span(), value),
            "flatten" if has_value => return Err(Problem::new(name.span(), "`flatten` takes no value")),
            "flatten" => {
                self.flatten = true;
                return Ok(());
            }
            _ => {
                let known = "the options are `judge`, `ignoring`, `probe` and `flatten`";
                return Err(Problem::new(name.span(), format!("unknown option `{text}`; {known}")));
            }
        };
        if value.is_empty() {
            return Err(Problem::new(name.span(), format!("`{text}` takes a value: `{text} = ...`")));
        }
        if place.replace(value.iter().cloned().collect()).is_some() {
            return Err(Problem::new(name.span(), format!("`{text}` is set twice")));
        }
        Ok(())
    }

    fn take_probe(&mut self, at: Span, value: &[TokenTree]) -> Result<(), Problem> {
        let [variable @ TokenTree::Ident(_)] = value else {
            return Err(Problem::new(at, "`probe` takes the name of a variable: `probe = is_probe`"));
        };
        match self.probe.replace(variable.clone()) {
            None => Ok(()),
            Some(_) => Err(Problem::new(at, "`probe` is set twice")),
        }
    }
}

/// Whether a comma stands here, and an option after it. Other commas are a part of an expression, as in `f::<A, B>()`.
fn begins_option(tokens: &[TokenTree]) -> bool {
    is_punct(&tokens[0], ',') && is_option(&tokens[1..])
}

/// A name alone, or before a `=`.
fn is_option(tokens: &[TokenTree]) -> bool {
    let is_known = |name: &TokenTree| matches!(name.to_string().as_str(), "judge" | "ignoring" | "probe" | "flatten");
    match tokens {
        [name @ TokenTree::Ident(_)] => is_known(name),
        [TokenTree::Ident(_), next, ..] if is_punct(next, '=') => true,
        [name @ TokenTree::Ident(_), next, ..] => is_punct(next, ',') && is_known(name),
        _ => false,
    }
}

pub(crate) fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}
