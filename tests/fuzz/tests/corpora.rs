//! Every target without a fuzzer: its corpus, and inputs that are made of it, always the same ones.
//!
//! What a fuzzer has found once stays found; to look for more there is `make fuzz` (docs/fuzzing.md).

use std::fs;
use std::path::{Path, PathBuf};
use warppool_fuzz::mutation::Mutator;
use warppool_fuzz::{
    config, entrance, identity, noise_frames, noise_handshake, store_file, store_rows, template_json, upstream_frames,
    v1_lines, v1_session, v2_frames, v2_session,
};

/// Names the input when a test fails.
struct Played<'a>(&'a str, &'a [u8]);

impl Drop for Played<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input of {} was \"{}\"", self.0, self.1.escape_ascii());
        }
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// In the order of their names, which no file system promises.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = home().join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file of the corpus").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds no input", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

/// Plays the corpus and `mutations` inputs made of it.
fn play(target: &str, check: impl Fn(&[u8]), mutations: usize) {
    let dictionary = fs::read_to_string(home().join(format!("dictionaries/{target}.dict"))).unwrap_or_default();
    let inputs = corpus(target);
    for input in &inputs {
        let _played = Played(target, input);
        check(input);
    }
    let mut mutator = Mutator::new(1, &dictionary);
    for _ in 0..mutations {
        let [one, other] = [(); 2].map(|()| &inputs[mutator.below(inputs.len() as u64) as usize]);
        let input = mutator.input(one, other);
        let _played = Played(target, &input);
        check(&input);
    }
}

macro_rules! targets {
    ($($name:ident: $check:expr, $mutations:literal;)*) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name), $check, $mutations);
            }
        )*

        /// No target has been forgotten here.
        #[test]
        fn every_target_is_played() {
            let played = [$(stringify!($name)),*];
            let targets = fs::read_dir(home().join("targets")).expect("the targets");
            for path in targets.map(|entry| entry.expect("a target").path()) {
                if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                    assert!(played.contains(&name.as_str()), "{name} is not played");
                }
            }
        }
    };
}

targets! {
    config: config::check, 300;
    identity: identity::check, 3000;
    noise_frames: noise_frames::check, 3000;
    noise_handshake: noise_handshake::check, 100;
    proxy_header: entrance::check, 2000;
    store_file: store_file::check, 100;
    store_rows: store_rows::check, 5000;
    template_json: template_json::check, 300;
    upstream_frames: upstream_frames::check, 1000;
    v1_lines: v1_lines::check, 1000;
    v1_session: v1_session::check, 300;
    v2_frames: v2_frames::check, 3000;
    v2_session: v2_session::check, 300;
}
