//! What an operator may do wrong with two files.

use super::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["pool.test".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 31);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn load_texts(certificate: Option<&str>, key: Option<&str>, mode: u32) -> Result<Certificate, Vec<Fault>> {
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files { certificate: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    if let Some(text) = certificate {
        fs::write(&files.certificate, text).expect("a file");
    }
    if let Some(text) = key {
        fs::write(&files.key, text).expect("a file");
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).expect("a file");
    }
    load(&files)
}

#[test]
fn every_fault_is_told_of_the_file_that_has_it() {
    let ((certificate, key), (other, other_key)) = (pair(), pair());
    let chain = format!("{certificate}{other}");
    for (certificate, key, mode, expected) in [
        (None, Some(key.as_str()), 0o600, Some((Culprit::Certificate, "cannot be read: No such file"))),
        (Some(certificate.as_str()), None, 0o600, Some((Culprit::Key, "cannot be read: No such file"))),
        (Some(&key), Some(&key), 0o600, Some((Culprit::Certificate, "holds no certificate"))),
        (Some(&certificate), Some(&certificate), 0o600, Some((Culprit::Key, "holds no private key"))),
        (Some("-----BEGIN CERTIFICATE-----\nxx"), Some(&key), 0o600, Some((Culprit::Certificate, "PEM"))),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            Some(&key),
            0o600,
            Some((Culprit::Certificate, "X.509")),
        ),
        (Some(&certificate), Some(&other_key), 0o600, Some((Culprit::Key, "does not belong"))),
        (Some(&certificate), Some(&key), 0o644, Some((Culprit::Key, "chmod 600"))),
        (Some(&certificate), Some(&key), 0o660, Some((Culprit::Key, "chmod 600"))),
        (Some(&certificate), Some(&key), 0o640, None),
        (Some(&chain), Some(&key), 0o400, None),
    ] {
        let faults = load_texts(certificate, key, mode).err().unwrap_or_default();
        match expected {
            None => assert_eq!(faults, []),
            Some((culprit, text)) => {
                assert_eq!(faults.len(), 1, "{faults:?}");
                assert!(faults[0].culprit == culprit && faults[0].message.contains(text), "{text} in {faults:?}");
            }
        }
    }
    assert_eq!(load_texts(None, None, 0).err().map(|faults| faults.len()), Some(2), "both at once");
}

#[test]
fn the_end_of_a_certificate_is_spoken_of_in_time() {
    let (certificate, key) = pair();
    let certificate = load_texts(Some(&certificate), Some(&key), 0o600).expect("a good pair");
    let at = |text_seconds: u64| UnixTime::from_millis(text_seconds * 1000);
    assert_eq!(certificate.last_day(), "2027-01-31");
    for (now, out_of_time, reminder) in [
        (1_700_000_000, Some("is not valid before 2026-01-01"), Some("is not valid before")),
        (1_780_000_000, None, None),
        (1_801_000_000, None, Some("expires on 2027-01-31")),
        (1_802_000_000, Some("expired on 2027-01-31"), Some("expired on 2027-01-31")),
    ] {
        assert_eq!(certificate.out_of_time(at(now)).as_deref(), out_of_time);
        let said = certificate.reminder(at(now));
        assert_eq!(said.is_some(), reminder.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(reminder.unwrap_or_default()));
    }
    assert!(!format!("{certificate:?}").contains("key"));
}
