//! Says in how many ways this machine can hash shares: the name of each backend on a line, the scalar one first.
//! `cargo xtask ci` runs the engine's tests with each.

use warppool_systems::sha256d::Backend;

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() {
    for backend in Backend::available() {
        println!("{}", backend.name());
    }
}
