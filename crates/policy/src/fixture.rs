//! A small registry for tests.
