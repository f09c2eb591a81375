//! Setting up.
