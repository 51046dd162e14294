//! Shared by the examples and tests: servers on the loopback interface that can be made to fail.

mod conduct;
mod health;
mod loopback;

pub use conduct::{Conduct, Reply};
pub use health::{Health, health};
pub use loopback::Loopback;
