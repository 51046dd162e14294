//! A guarded function is what it was, and protected.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::num::ParseIntError;
use std::sync::{Arc, LazyLock};

use futures_lite::future::{block_on, poll_once};
use tripcoil::{CircuitBreaker, Error, Outcome, Rejected, State, guarded};

type Reply<T> = Result<T, Error<ParseIntError>>;

fn counts(breaker: &CircuitBreaker) -> (u64, u64, u64, u64) {
    let metrics = breaker.metrics();
    assert_eq!(metrics.active_calls, 0);
    (metrics.total_success_count, metrics.total_error_count, metrics.total_ignored_count, metrics.total_dropped_count)
}

#[test]
fn outcomes_count_and_a_rejection_keeps_the_body_from_running() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER)]
    fn parse(text: &str) -> Result<u32, Error<ParseIntError>> {
        assert_ne!(text, "rejected");
        if text.is_empty() {
            return Ok(0);
        }
        let number: u32 = text.parse()?;
        Ok(number)
    }

    assert_eq!([parse("12"), parse("")], [Ok(12), Ok(0)]);
    for _ in 0..5 {
        assert!(matches!(parse("twelve"), Err(Error::Inner(_))));
    }
    assert!(parse("rejected").unwrap_err().is_rejected());
    assert_eq!(counts(&BREAKER), (2, 5, 0, 0));
}

#[test]
fn an_async_function_asks_at_its_first_poll_and_can_be_dropped() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER)]
    async fn parse(text: &str, ready: bool) -> Reply<u32> {
        if !ready {
            std::future::pending::<()>().await;
        }
        let number = text.parse::<u32>()?;
        Ok(number)
    }

    let call = parse("12", true);
    assert_eq!(counts(&BREAKER), (0, 0, 0, 0));
    assert_eq!(block_on(call), Ok(12));
    assert!(matches!(block_on(parse("twelve", true)), Err(Error::Inner(_))));
    block_on(async {
        let mut call = Box::pin(parse("12", false));
        assert!(poll_once(&mut call).await.is_none());
    });
    assert_eq!(counts(&BREAKER), (1, 1, 0, 1));
    BREAKER.force_open();
    assert!(block_on(parse("12", true)).unwrap_err().is_rejected());
}

#[test]
fn a_future_is_send_if_its_body_is() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER, ignoring = |_| false)]
    async fn parse(text: String) -> Reply<u32> {
        std::future::ready(()).await;
        text.parse()
    }

    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    assert_eq!(block_on(is_send(parse("12".into()))), Ok(12));
}

#[test]
fn generics_lifetimes_bounds_patterns_and_attributes_stay() {
    static BREAKER: LazyLock<CircuitBreaker> = LazyLock::new(|| CircuitBreaker::new("test"));

    /// Has a doc.
    #[must_use = "as written"]
    #[guarded(*BREAKER)]
    #[inline]
    pub(crate) fn first<'a, T, F: Fn(&T) -> Result<bool, String>, const N: usize>(
        items: &'a [T; N],
        (test, mut tries): (F, usize),
    ) -> Result<Option<&'a T>, Error<String>>
    where
        T: Debug + 'a,
    {
        for item in items {
            tries -= 1;
            if test(item)? {
                return Ok(Some(item));
            }
            if tries == 0 {
                Err("no more")?;
            }
        }
        Ok(None)
    }

    assert_eq!(first(&[1, 2, 3], (|item| Ok(*item == 2), 3)), Ok(Some(&2)));
    assert_eq!(first(&[1, 2, 3], (|_| Ok(false), 2)), Err(Error::Inner("no more".into())));
    assert_eq!(counts(&BREAKER), (1, 1, 0, 0));
}

#[test]
fn the_comma_of_generics_is_a_part_of_the_breaker() {
    fn pick<A: Default, B: Default>() -> &'static CircuitBreaker {
        static BREAKER: CircuitBreaker = CircuitBreaker::new("test");
        let _ = (A::default(), B::default());
        &BREAKER
    }

    #[guarded(pick::<u8, u16>(), judge = |_: &Result<u8, ()>| Outcome::Ignored,)]
    fn nothing() -> Result<u8, Error<()>> {
        Err(())
    }

    assert_eq!(nothing(), Err(Error::Inner(())));
    assert_eq!(counts(pick::<u8, u16>()), (0, 0, 1, 0));
}

struct Client {
    breaker: Arc<CircuitBreaker>,
    calls: u32,
}

impl Client {
    #[guarded(self.breaker)]
    fn calls(&self) -> Result<&u32, Error<()>> {
        Ok(&self.calls)
    }

    #[guarded(self.breaker.clone())]
    fn count(&mut self) -> Result<&mut Self, Error<()>> {
        self.calls += 1;
        Ok(self)
    }

    #[guarded(self.breaker)]
    async fn later(&self, by: &u32) -> Result<u32, Error<()>> {
        std::future::ready(()).await;
        Ok(self.calls + by)
    }

    #[guarded(self.breaker.clone())]
    async fn count_later(&mut self) -> Result<u32, Error<()>> {
        self.calls += 1;
        Ok(self.calls)
    }

    #[guarded(breaker)]
    fn with(breaker: &CircuitBreaker) -> Result<impl Display, Error<()>> {
        Ok(breaker.name().len())
    }

    #[guarded(breaker)]
    async fn with_later(breaker: &CircuitBreaker) -> Result<impl Display, Error<()>> {
        Ok(breaker.name().len())
    }
}

#[test]
fn methods_may_keep_their_breaker_in_a_field_or_be_given_one() {
    let mut client = Client { breaker: Arc::new(CircuitBreaker::new("test")), calls: 0 };
    assert_eq!(client.calls(), Ok(&0));
    client.count().ok().unwrap().count().ok().unwrap();
    assert_eq!(block_on(client.later(&40)), Ok(42));
    assert_eq!(block_on(client.count_later()), Ok(3));
    assert_eq!(Client::with(&client.breaker).ok().unwrap().to_string(), "4");
    assert_eq!(block_on(Client::with_later(&client.breaker)).ok().unwrap().to_string(), "4");
    assert_eq!(counts(&client.breaker), (7, 0, 0, 0));
}

#[test]
fn a_judge_decides_and_a_predicate_ignores() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER, judge = |status| if matches!(status, Ok(..500)) { Outcome::Success } else { Outcome::Failure })]
    fn sync(status: u16) -> Result<u16, Error<()>> {
        Ok(status)
    }

    #[guarded(BREAKER, judge = |reply| match reply { Err(text) if text.is_empty() => Outcome::Ignored, _ => Outcome::Success })]
    async fn later(text: &str) -> Result<(), Error<String>> {
        Err(text.to_owned())
    }

    #[guarded(BREAKER, ignoring = |error| error.starts_with('4'))]
    fn ignoring(text: &str) -> Result<(), Error<String>> {
        Err(text.into())
    }

    #[guarded(BREAKER, ignoring = String::is_empty)]
    async fn ignoring_later(text: &str) -> Result<(), Error<String>> {
        Err(text)?;
        Ok(())
    }

    assert_eq!([sync(200), sync(503)], [Ok(200), Ok(503)]);
    assert_eq!(counts(&BREAKER), (1, 1, 0, 0));
    assert!([block_on(later("")), block_on(later("x"))].iter().all(Result::is_err));
    assert_eq!(counts(&BREAKER), (2, 1, 1, 0));
    assert!([ignoring("404"), ignoring("x")].iter().all(Result::is_err));
    assert_eq!(counts(&BREAKER), (2, 2, 2, 0));
    assert!([block_on(ignoring_later("")), block_on(ignoring_later("x"))].iter().all(Result::is_err));
    assert_eq!(counts(&BREAKER), (2, 3, 3, 0));
}

#[derive(Debug, PartialEq)]
enum AppError {
    Parse(ParseIntError),
    Unavailable(Rejected),
}

impl From<ParseIntError> for AppError {
    fn from(error: ParseIntError) -> Self {
        AppError::Parse(error)
    }
}

impl From<Rejected> for AppError {
    fn from(rejected: Rejected) -> Self {
        AppError::Unavailable(rejected)
    }
}

#[test]
fn an_error_type_with_a_place_for_rejections_takes_both() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER, flatten)]
    fn sync(text: &str) -> Result<u32, AppError> {
        Ok(text.parse()?)
    }

    #[guarded(BREAKER, flatten, ignoring = |error| matches!(error, AppError::Parse(_)))]
    async fn later(text: &str) -> Result<u32, AppError> {
        let number = text.parse()?;
        Ok(number)
    }

    #[guarded(BREAKER, judge = |_| Outcome::Ignored, flatten)]
    fn unnamed(text: &str) -> Result<impl Display, AppError> {
        Ok(text.len())
    }

    assert_eq!((sync("12"), block_on(later("12"))), (Ok(12), Ok(12)));
    assert!(matches!((sync("x"), block_on(later("x"))), (Err(AppError::Parse(_)), Err(AppError::Parse(_)))));
    assert!(unnamed("x").is_ok());
    assert_eq!(counts(&BREAKER), (2, 1, 2, 0));
    BREAKER.transition_to(State::ForcedOpen);
    assert!(matches!(sync("12"), Err(AppError::Unavailable(_))));
    assert!(matches!(block_on(later("12")), Err(AppError::Unavailable(_))));
}

#[test]
fn names_of_the_body_and_of_the_expansion_do_not_meet() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER)]
    fn count(breaker: &str, guard: u32) -> Result<usize, Error<()>> {
        Ok(breaker.len() + guard as usize)
    }

    assert_eq!(count("four", 2), Ok(6));
}

#[test]
fn a_panic_in_the_body_is_a_failure() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER)]
    fn panics() -> Result<(), Error<()>> {
        panic!("on purpose")
    }

    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(counts(&BREAKER), (0, 1, 0, 0));
}

#[test]
fn any_type_can_be_returned() {
    const N: usize = 2;
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[derive(Debug, PartialEq)]
    struct Bytes<const N: usize>([u8; N]);

    macro_rules! reply {
        ($type:ty) => { Result<$type, Error<ParseIntError>> };
    }

    #[guarded(BREAKER)]
    fn array(text: &str) -> Result<[u8; { N + 1 } * 2 / 2], Error<ParseIntError>> {
        Ok([text.parse()?; N + 1])
    }

    #[guarded(BREAKER)]
    fn argument(text: &str) -> Result<Bytes<{ N + 1 }>, Error<ParseIntError>> {
        Ok(Bytes([text.parse()?; N + 1]))
    }

    #[guarded(BREAKER)]
    fn bounded<T, const M: usize>(value: T) -> Result<Bytes<{ M }>, Error<ParseIntError>>
    where
        Bytes<{ N }>: Sized,
        T: Into<u8>,
    {
        Ok(Bytes([value.into(); M]))
    }

    #[guarded(BREAKER)]
    async fn later(text: &str) -> Result<Bytes<{ if N > 1 { 1 } else { 2 } }>, Error<ParseIntError>> {
        Ok(Bytes([text.parse()?]))
    }

    #[guarded(BREAKER)]
    fn made(text: &str) -> reply! { u8 } {
        text.parse()
    }

    #[guarded(BREAKER, ignoring = |_| true)]
    fn function() -> Reply<fn(Bytes<{ N }>) -> [u8; N]> {
        Ok(|bytes| bytes.0)
    }

    assert_eq!(array("7"), Ok([7; 3]));
    assert_eq!(argument("7"), Ok(Bytes([7; 3])));
    assert_eq!(bounded::<_, 4>(7), Ok(Bytes([7; 4])));
    assert_eq!(block_on(later("7")), Ok(Bytes([7])));
    assert_eq!(made("7"), Ok(7));
    assert_eq!(function().unwrap()(Bytes([7; 2])), [7; 2]);
    assert_eq!(counts(&BREAKER), (6, 0, 0, 0));
}

#[test]
fn a_body_is_told_whether_it_is_a_probe() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

    #[guarded(BREAKER, probe = is_probe)]
    fn parse(text: &str) -> Reply<u32> {
        if is_probe {
            return Ok(0);
        }
        let number = text.parse::<u32>()?;
        Ok(number)
    }

    #[guarded(BREAKER, judge = |result| if result.is_ok() { Outcome::Success } else { Outcome::Ignored }, probe = cheap)]
    async fn parse_async(text: String) -> Reply<(u32, bool)> {
        Ok((text.parse()?, cheap))
    }

    #[guarded(BREAKER, probe = cheap, ignoring = |_| true)]
    fn ignored(text: &str) -> Reply<bool> {
        text.parse::<u32>()?;
        Ok(cheap)
    }

    #[guarded(BREAKER, flatten, probe = cheap)]
    async fn unnamed(limit: u32) -> Result<impl Fn(u32) -> bool, Rejected> {
        Ok(move |number| cheap && number < limit)
    }

    let calls = || {
        let is_in = block_on(unnamed(3)).map(|is_in| is_in(2)).unwrap();
        (parse("12").unwrap(), block_on(parse_async("12".into())).unwrap(), ignored("12").unwrap(), is_in)
    };
    assert_eq!(calls(), (12, (12, false), false, false));
    assert!(block_on(parse_async("twelve".into())).is_err());
    assert!(ignored("twelve").is_err());
    assert!(parse("twelve").is_err());
    BREAKER.reconfigure(BREAKER.config().success_threshold(9)).unwrap();
    BREAKER.transition_to(State::HalfOpen);
    assert_eq!(calls(), (0, (12, true), true, true));
    assert_eq!(counts(&BREAKER), (8, 1, 2, 0));
}
