//! The attribute `guarded` of [`tripcoil`](https://docs.rs/tripcoil), which re-exports it with its feature
//! `macros`.

mod expand;
mod options;

use proc_macro::TokenStream;

/// Protects a function with a circuit breaker. Each call of the function is a `call_sync`, or a `call` if it is
/// `async`.
///
/// The signature stays as you write it. Its return type has to hold a rejection: `Result<T,
/// tripcoil::Error<E>>`, or an alias of it. In the body, errors are plain `E`: a `?` accepts what converts into
/// `E`, and `Ok` and `Err` are those of `Result<T, E>`.
///
/// ```
/// use tripcoil::{CircuitBreaker, Error, State};
///
/// static PARSER: CircuitBreaker = CircuitBreaker::new("parser");
///
/// /// Parses and doubles.
/// #[tripcoil::guarded(PARSER)]
/// pub fn double(text: &str) -> Result<u32, Error<std::num::ParseIntError>> {
///     let number: u32 = text.parse()?;
///     Ok(2 * number)
/// }
///
/// assert_eq!(double("21"), Ok(42));
/// for _ in 0..5 {
///     assert!(matches!(double("twelve"), Err(Error::Inner(_))));
/// }
/// assert!(matches!(double("21"), Err(Error::Rejected(_))));
/// ```
///
/// The breaker is any expression that derefs to a `CircuitBreaker`: a `static`, an argument, a field of `self`.
/// It is evaluated at each call, before the arguments move into the body. So the body cannot change an argument
/// or a `&mut self` that the breaker borrows from. To avoid that, clone an `Arc`: `self.breaker.clone()`.
///
/// ```
/// use tripcoil::{CircuitBreaker, Error};
///
/// struct Client {
///     breaker: CircuitBreaker,
/// }
///
/// impl Client {
///     #[tripcoil::guarded(self.breaker)]
///     async fn fetch<'a>(&self, path: &'a str) -> Result<&'a str, Error<std::io::Error>> {
///         Ok(path) // a request over the network, say
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let client = Client { breaker: CircuitBreaker::new("storage") };
/// assert_eq!(client.fetch("/health").await.unwrap(), "/health");
/// # });
/// ```
///
/// # Options
///
/// After the breaker, in any order:
///
/// - `ignoring = predicate`: errors that match are ignored, like with `CircuitBreaker::ignoring`.
/// - `judge = judge`: decides how each result counts, like with `CircuitBreaker::call_with`.
/// - `probe = name`: in the body, the variable `name` says whether the call is a probe of the half-open state.
/// - `flatten`: the function returns `E` itself, which implements `From<tripcoil::Rejected>`.
///
/// ```
/// use std::io::{self, ErrorKind};
/// use tripcoil::{CircuitBreaker, Error, Outcome, Rejected};
///
/// static DISK: CircuitBreaker = CircuitBreaker::new("disk");
///
/// #[tripcoil::guarded(DISK, ignoring = |error| error.kind() == ErrorKind::NotFound)]
/// fn load(path: &str) -> Result<String, Error<io::Error>> {
///     std::fs::read_to_string(path)
/// }
///
/// #[tripcoil::guarded(DISK, judge = |size| if matches!(size, Ok(1..)) { Outcome::Success } else { Outcome::Failure })]
/// fn size(path: &str) -> Result<u64, Error<io::Error>> {
///     Ok(std::fs::metadata(path)?.len())
/// }
///
/// enum AppError {
///     Io(io::Error),
///     Unavailable(Rejected),
/// }
/// # impl From<io::Error> for AppError { fn from(error: io::Error) -> Self { AppError::Io(error) } }
/// # impl From<Rejected> for AppError { fn from(rejected: Rejected) -> Self { AppError::Unavailable(rejected) } }
///
/// #[tripcoil::guarded(DISK, flatten)]
/// fn read(path: &str) -> Result<Vec<u8>, AppError> {
///     Ok(std::fs::read(path)?)
/// }
///
/// assert!(load("/no/such/file").is_err());
/// assert_eq!(DISK.metrics().total_ignored_count, 1);
/// assert!(size("/no/such/file").is_err());
/// assert!(matches!(read("/no/such/file"), Err(AppError::Io(_))));
/// assert_eq!(DISK.metrics().total_error_count, 2);
/// DISK.force_open();
/// assert!(matches!(read("/no/such/file"), Err(AppError::Unavailable(_))));
/// ```
///
/// With `probe` a function can treat a probe differently, for example with a cheap request:
///
/// ```
/// use tripcoil::{CircuitBreaker, Error, State};
///
/// static STORAGE: CircuitBreaker = CircuitBreaker::new("storage");
///
/// #[tripcoil::guarded(STORAGE, probe = is_probe)]
/// async fn fetch(path: &'static str) -> Result<&'static str, Error<std::io::Error>> {
///     Ok(if is_probe { "/health" } else { path })
/// }
///
/// # futures_lite::future::block_on(async {
/// assert_eq!(fetch("/all").await.unwrap(), "/all");
/// STORAGE.transition_to(State::HalfOpen);
/// assert_eq!(fetch("/all").await.unwrap(), "/health");
/// # });
/// ```
///
/// # Panics
///
/// If the body panics, which counts as a failure.
///
/// # Cancel safety
///
/// You can drop the future of an `async` function at any time; `dropped_calls` decides how that counts. **A
/// time-out has to reach the breaker as an error**, so put it into the body.
#[proc_macro_attribute]
pub fn guarded(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::guarded(options, function).unwrap_or_else(Problem::into_tokens)
}

/// Why the attribute makes no sense, and where.
struct Problem {
    at: proc_macro::Span,
    text: String,
}

impl Problem {
    fn new(at: proc_macro::Span, text: impl Into<String>) -> Self {
        Problem { at, text: text.into() }
    }

    fn into_tokens(self) -> TokenStream {
        let code = format!("::core::compile_error! {{ {:?} }}", self.text);
        expand::tokens(&code).into_iter().map(|token| expand::at(self.at, token)).collect()
    }
}
