//! Makes the crate follow the built dashboard: `ui/dist` is embedded, and may not have been built yet.

use std::path::Path;

fn main() {
    let dist = Path::new("../ui/dist");
    // A watched path that does not exist would rebuild the crate every time, and one that is not watched would miss
    // the first build of the dashboard. The folder is ignored by git; where it cannot be made nothing is embedded.
    if dist.is_dir() || std::fs::create_dir_all(dist).is_ok() {
        println!("cargo::rerun-if-changed=../ui/dist");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
