//! The HTTP service of the demonstration and those who call it, for whoever else needs a service that breaks.

pub mod client;
pub mod health;
pub mod options;
pub mod script;
pub mod server;
