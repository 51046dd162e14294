use tripcoil::{CircuitBreaker, guarded};

static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

#[guarded(BREAKER)]
struct NoFunction;

#[guarded(BREAKER)]
const fn constant() -> Result<(), tripcoil::Error<()>> {
    Ok(())
}

#[guarded(BREAKER)]
fn returns_nothing() {}

trait Remote {
    #[guarded(BREAKER)]
    fn has_no_body(&self) -> Result<(), tripcoil::Error<()>>;
}

fn main() {}
