use tripcoil::{CircuitBreaker, guarded};

static BREAKER: CircuitBreaker = CircuitBreaker::new("test");

#[guarded(BREAKER)]
fn no_place_for_a_rejection() -> Result<(), std::fmt::Error> {
    Ok(())
}

fn main() {}
