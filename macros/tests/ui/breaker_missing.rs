use tripcoil::{CircuitBreaker, guarded};

static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

#[guarded]
fn missing() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(flatten)]
fn missing_too() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(judge = |_| BREAKER)]
fn missing_as_well() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

fn main() {}
