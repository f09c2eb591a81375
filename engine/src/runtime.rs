//! Everything impure around the engine.
