//! What the examples and tests here have in common: servers on the loopback interface that fail when they are told to.

mod conduct;
mod health;
mod loopback;

pub use conduct::{Conduct, Reply};
pub use health::{Health, health};
pub use loopback::Loopback;
