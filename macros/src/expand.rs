use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::Problem;
use crate::options::{Options, is_punct};

/// The function with its body protected; all else stays as it is written.
pub(crate) fn guarded(options: TokenStream, function: TokenStream) -> Result<TokenStream, Problem> {
    let options = Options::read(options)?;
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    let signature = Signature::read(&tokens)?;
    let body = match tokens.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        last => {
            let at = last.map_or_else(Span::call_site, |token| token.span());
            return Err(Problem::new(at, "a guarded function needs a body"));
        }
    };
    let mut guarded = Group::new(Delimiter::Brace, protect(&options, &signature, body.clone())?);
    guarded.set_span(body.span());
    tokens.push(guarded.into());
    Ok(tokens.into_iter().collect())
}

/// What matters of a signature.
struct Signature {
    is_async: bool,
    returns: Vec<TokenTree>,
}

impl Signature {
    fn read(tokens: &[TokenTree]) -> Result<Self, Problem> {
        let is_word =
            |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
        let Some(function) = tokens.iter().position(|token| is_word(token, "fn")) else {
            return Err(Problem::new(Span::call_site(), "`guarded` applies to functions only"));
        };
        if let Some(word) = tokens[..function].iter().find(|token| is_word(token, "const")) {
            return Err(Problem::new(word.span(), "a `const fn` cannot be guarded, because a breaker has state"));
        }
        let is_async = tokens[..function].iter().any(|token| is_word(token, "async"));
        let after = after_arguments(&tokens[function..]);
        match after {
            // The body comes last. Braces before it belong to the type, as in `Array<{ N + 1 }>`, or to the bounds.
            [dash, tip, rest @ .., _body] if is_punct(dash, '-') && is_punct(tip, '>') => {
                let end = rest.iter().position(|token| is_word(token, "where")).unwrap_or(rest.len());
                Ok(Signature { is_async, returns: rest[..end].to_vec() })
            }
            _ => Err(Problem::new(tokens[function + 1].span(), "a guarded function has to return a `Result`")),
        }
    }

    /// Whether the return type can be named in the body.
    fn is_named(&self) -> bool {
        fn names(tokens: impl IntoIterator<Item = TokenTree>) -> bool {
            tokens.into_iter().all(|token| match token {
                TokenTree::Group(group) => names(group.stream()),
                token => token.to_string() != "impl",
            })
        }
        names(self.returns.iter().cloned())
    }
}

/// What follows the arguments: the first parentheses that stand outside of the generics.
fn after_arguments(tokens: &[TokenTree]) -> &[TokenTree] {
    let (mut depth, mut is_arrow) = (0_usize, false);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis && depth == 0 => {
                return &tokens[at + 1..];
            }
            token if is_punct(token, '<') => depth += 1,
            token if is_punct(token, '>') && !is_arrow => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_arrow = is_punct(token, '-');
    }
    &[]
}

/// The new body.
fn protect(options: &Options, signature: &Signature, body: Group) -> Result<TokenStream, Problem> {
    let part = |tokens: &TokenStream| TokenTree::from(Group::new(Delimiter::None, tokens.clone()));
    let mut parts = vec![("BREAKER", part(&options.breaker)), ("BODY", body.into())];
    let is_named = signature.is_named();
    let (inner, error) = if options.flatten {
        ("RETURNS", "<RETURNS as ::tripcoil::__macros::Flat>::Error")
    } else {
        ("<RETURNS as ::tripcoil::__macros::Guardable>::Body", "<RETURNS as ::tripcoil::__macros::Guardable>::Error")
    };
    parts.push(("RETURNS", part(&signature.returns.iter().cloned().collect())));
    let (argument, admitted, block) = match &options.probe {
        None => ("", "", "BODY"),
        Some(name) => {
            parts.push(("PROBE", name.clone()));
            ("admitted: ::tripcoil::Admitted", "_admitted", "{ let PROBE: bool = admitted.is_probe(); BODY }")
        }
    };
    let operation = match (is_named, signature.is_async) {
        (true, true) => {
            format!("async move {{ if false {{ return ::tripcoil::__macros::never::<{inner}>(); }} {block} }}")
        }
        (false, true) => format!("async move {block}"),
        (true, false) => format!("move |{argument}| -> {inner} {block}"),
        (false, false) => format!("move |{argument}| {block}"),
    };
    let operation = match &options.probe {
        Some(_) if signature.is_async => format!("move |{argument}| {operation}"),
        _ => operation,
    };
    let sync = if signature.is_async { "" } else { "_sync" };
    let call = if let Some(predicate) = &options.ignoring {
        if !is_named {
            let text = "with `ignoring` the return type cannot contain `impl`, because it has to be named";
            return Err(Problem::new(signature.returns[0].span(), text));
        }
        parts.push(("PREDICATE", part(predicate)));
        format!("let breaker = breaker.ignoring::<{error}, _>(PREDICATE); breaker.call{sync}{admitted}({operation})")
    } else if let Some(judge) = &options.judge {
        parts.push(("JUDGE", part(judge)));
        match admitted {
            "" => format!("breaker.call{sync}_with({operation}, JUDGE)"),
            _ => format!("::tripcoil::__macros::call{sync}_admitted_with(breaker, {operation}, JUDGE)"),
        }
    } else {
        format!("breaker.call{sync}{admitted}({operation})")
    };
    let wait = if signature.is_async { ".await" } else { "" };
    let flat = if options.flatten { ".map_err(::tripcoil::Error::flatten)" } else { "" };
    let code = format!("let breaker: &::tripcoil::CircuitBreaker = &BREAKER; {call}{wait}{flat}");
    Ok(splice(tokens(&code), &parts))
}

/// `code` with the words of `parts` replaced.
fn splice(code: TokenStream, parts: &[(&str, TokenTree)]) -> TokenStream {
    let replaced = code.into_iter().map(|token| match token {
        TokenTree::Group(inner) => Group::new(inner.delimiter(), splice(inner.stream(), parts)).into(),
        token => match parts.iter().find(|(word, _)| *word == token.to_string()) {
            Some((_, part)) => part.clone(),
            None => at(Span::mixed_site(), token),
        },
    });
    replaced.collect()
}

/// The tokens of code that is known to be well-formed.
pub(crate) fn tokens(code: &str) -> TokenStream {
    code.parse().unwrap_or_else(|error| panic!("`{code}`: {error}"))
}

pub(crate) fn at(span: Span, mut token: TokenTree) -> TokenTree {
    token.set_span(span);
    token
}
