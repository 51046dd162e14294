use tripcoil::{CircuitBreaker, guarded};

static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

#[guarded(BREAKER, judje = |_| true)]
fn misspelt() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, ignoring)]
fn without_value() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, flatten = true)]
fn with_value() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, ignoring = |_| true, ignoring = |_| false)]
fn twice() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, ignoring = |_| true, judge = |_| tripcoil::Outcome::Success)]
fn both() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, ignoring = |_| true)]
fn unnamed() -> Result<impl Sized, tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, probe = self.is_probe)]
fn no_variable() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, probe)]
fn without_variable() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER, probe = one, probe = other)]
fn two_variables() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

fn main() {}
