//! Loom models of tripcoil. See `tests/`.
