//! `warppool tls self-signed`: a certificate that is its own authority, for miners that do not ask who certified it or
//! that are given it to trust.

use super::arguments::SelfSigned;
use super::exit_code::{DONE, FAILED};
use super::machine;
use crate::certificate::{civil_from_unix, day};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names of the files.
const CERTIFICATE_NAME: &str = "tls-cert.pem";
const KEY_NAME: &str = "tls-key.pem";

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Names in one certificate: more would not fit into what small devices can read of a chain.
const NAMES_MAX: usize = 32;

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{} is there already and is not overwritten; move it away or choose another --directory", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("no certificate can be made for {0}: {1}; names are such as pool.lan or 192.0.2.1")]
    Names(String, rcgen::Error),
    #[error("{0} names: at most {NAMES_MAX} go into one certificate")]
    TooManyNames(usize),
}

/// Makes certificate and key and says what to do next; the result is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn self_signed(arguments: &SelfSigned, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    match make(arguments) {
        Ok(made) => made.describe(output).map(|()| DONE),
        Err(failure) => writeln!(errors, "error: {failure}").map(|()| FAILED),
    }
}

/// What was made.
struct Made {
    certificate: PathBuf,
    key: PathBuf,
    names: Vec<String>,
    last_day: String,
}

fn make(arguments: &SelfSigned) -> Result<Made, Failure> {
    let names = if arguments.names.is_empty() { names_of_this_machine() } else { arguments.names.clone() };
    if names.len() > NAMES_MAX {
        return Err(Failure::TooManyNames(names.len()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(0);
    let until = now + i64::from(arguments.days) * DAY;
    let (certificate, key) =
        certificate(&names, now - DAY, until).map_err(|error| Failure::Names(names.join(", "), error))?;
    let directory = &arguments.directory;
    fs::create_dir_all(directory).map_err(|error| Failure::Write { path: directory.clone(), error })?;
    let (certificate_path, key_path) = (directory.join(CERTIFICATE_NAME), directory.join(KEY_NAME));
    // Neither is begun when the other is in the way.
    if let Some(path) = [&certificate_path, &key_path].into_iter().find(|path| path.exists()) {
        return Err(Failure::Exists(path.clone()));
    }
    write_new(&key_path, &key)?;
    write_new(&certificate_path, &certificate)?;
    Ok(Made { certificate: absolute(&certificate_path), key: absolute(&key_path), names, last_day: day(until) })
}

/// Certificate and key in PEM. A day is given to clocks that are late.
fn certificate(names: &[String], from: i64, until: i64) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "WarpPool, self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let date = |unix_seconds| {
        let (year, month, day) = civil_from_unix(unix_seconds);
        date_time_ymd(i32::try_from(year).unwrap_or(9999), month, day)
    };
    (params.not_before, params.not_after) = (date(from), date(until));
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Never follows a link and never overwrites.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let result = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    result.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Exists(path.to_owned()),
        _ => Failure::Write { path: path.to_owned(), error },
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The host's name, `localhost`, and every address but those that change with the link.
fn names_of_this_machine() -> Vec<String> {
    let mut names: Vec<String> = machine::host_name().into_iter().chain(["localhost".to_owned()]).collect();
    names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    names.extend(machine::lasting_addresses().iter().map(ToString::to_string));
    let mut known = std::collections::HashSet::new();
    names.retain(|name| !name.is_empty() && known.insert(name.clone()));
    names.truncate(NAMES_MAX);
    names
}

impl Made {
    fn describe(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(output, "A certificate was made for {}, valid until {}.", self.names.join(", "), self.last_day)?;
        writeln!(output, "\nNext steps:\n  1. In config.toml:\n\n     [stratum]")?;
        writeln!(output, "     tls_cert_path = {:?}", self.certificate)?;
        writeln!(output, "     tls_key_path = {:?}\n", self.key)?;
        writeln!(
            output,
            "  2. Let the pool's user own both files. `warppool check-config` says whether they are good."
        )?;
        writeln!(output, "  3. Restart the pool, or reload it (SIGHUP).")?;
        writeln!(
            output,
            "  4. Miners connect to stratum+ssl://HOST:PORT of server.pool_listen. Nobody else has certified this"
        )?;
        writeln!(
            output,
            "     certificate: turn the check off in the miner, or give it {} to trust.",
            self.certificate.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{Files, load};

    fn run(arguments: &SelfSigned) -> (u8, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = self_signed(arguments, &mut output, &mut errors).expect("memory can be written");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status, text(output), text(errors))
    }

    #[test]
    fn what_is_made_can_be_served_and_is_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("new");
        let names = vec!["pool.lan".to_owned(), "192.0.2.1".to_owned(), "2001:db8::1".to_owned()];
        let arguments = SelfSigned { directory: directory.clone(), names, days: 10 };
        let (status, output, errors) = run(&arguments);
        assert_eq!((status, errors.as_str()), (DONE, ""));
        assert!(output.contains("tls_cert_path = ") && output.contains("pool.lan, 192.0.2.1"), "{output}");
        let files = Files { certificate: directory.join(CERTIFICATE_NAME), key: directory.join(KEY_NAME) };
        let made = load(&files).expect("the pool's own check");
        assert!(output.contains(&made.last_day()), "{output}");
        let before = fs::read(&files.key).expect("a file");
        for file in [&files.certificate, &files.key] {
            assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
        }
        let (status, _, errors) = run(&arguments);
        assert!(status == FAILED && errors.contains("not overwritten"), "{errors}");
        assert_eq!(fs::read(&files.key).expect("a file"), before);
    }

    #[test]
    fn without_names_it_is_for_this_machine_and_wrong_ones_are_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let mut arguments = SelfSigned { directory: place.path().to_owned(), names: Vec::new(), days: 1 };
        let (status, output, _) = run(&arguments);
        assert!(status == DONE && output.contains("localhost, 127.0.0.1, ::1"), "{output}");
        arguments.names = vec!["pöol".to_owned()];
        arguments.directory = place.path().join("other");
        let (status, _, errors) = run(&arguments);
        assert!(status == FAILED && errors.contains("pöol"), "{errors}");
        assert!(!arguments.directory.exists());
    }
}
