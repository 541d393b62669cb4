//! The certificate that TLS clients are shown: given by the operator, or self-signed and made at the first start.
//! Files that change are read again; a file that cannot be read leaves the old certificate in place.

use arc_swap::ArcSwap;
use rustls::Error::InconsistentKeys;
use rustls::InconsistentKeys::KeyMismatch;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use storage::env::Env;

/// How often the files' modification times are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Where certificate chain and private key lie, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The certificate in use, which follows its files.
#[derive(Clone)]
pub struct TlsIdentity {
    current: Arc<Current>,
    files: TlsFiles,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl TlsIdentity {
    /// Reads `files`.
    ///
    /// # Errors
    /// When a file is missing, is no PEM, or the key does not fit the certificate; the message names the file.
    pub fn load(files: TlsFiles) -> io::Result<TlsIdentity> {
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&files)?)));
        Ok(TlsIdentity { current, files })
    }

    /// Reads the certificate in `folder`, making a self-signed one for `localhost` and the loopback addresses if there
    /// is none. Official clients do not verify it.
    ///
    /// # Errors
    /// When the folder cannot be written or its files cannot be read.
    pub fn self_signed(folder: &Path) -> io::Result<TlsIdentity> {
        let files =
            TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        if !files.certificate.exists() || !files.key.exists() {
            make(folder, &files)?;
            tracing::info!(folder = %folder.display(), "made a self-signed certificate");
        }
        TlsIdentity::load(files)
    }

    /// The server side of a handshake. `alpn` lists what may be spoken inside, best first; empty asks for nothing.
    ///
    /// # Errors
    /// When the TLS library cannot be configured, which is a bug.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Follows the files until dropped.
    pub async fn follow(self, env: Env) {
        let mut seen = modified(&self.files);
        loop {
            env.sleep(RELOAD_INTERVAL).await;
            let now = modified(&self.files);
            if now != seen {
                seen = now;
                self.reload();
            }
        }
    }

    fn reload(&self) {
        match read(&self.files) {
            Ok(identity) => {
                self.current.0.store(Arc::new(identity));
                tracing::info!(certificate = %self.files.certificate.display(), "certificate reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "certificate not reloaded, the old one stays in use");
            }
        }
    }
}

fn modified(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key]
        .map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn read(files: &TlsFiles) -> io::Result<CertifiedKey> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| about(&files.certificate, &error))?;
    if certificates.is_empty() {
        return Err(about(&files.certificate, &"holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        let pem::Error::NoItemsFound = error else { return about(&files.key, &error) };
        about(&files.key, &"holds no private key")
    })?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider()).map_err(|error| {
        let InconsistentKeys(KeyMismatch) = error else { return about(&files.key, &error) };
        about(&files.key, &format!("is not the key of {}", files.certificate.display()))
    })
}

fn about(path: &Path, what: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
}

fn make(folder: &Path, files: &TlsFiles) -> io::Result<()> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::create_dir_all(folder)?;
    fs::write(&files.certificate, made.cert.pem())?;
    write_secret(&files.key, &made.signing_key.serialize_pem())
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        TlsIdentity::self_signed(folder.path()).unwrap();
        let first = fs::read(folder.path().join("certificate.pem")).unwrap();
        TlsIdentity::self_signed(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("certificate.pem")).unwrap(), first);
    }

    #[test]
    fn changed_files_are_shown_to_the_next_client() {
        let folder = tempfile::tempdir().unwrap();
        let identity = TlsIdentity::self_signed(folder.path()).unwrap();
        let shown = || identity.current.0.load().cert[0].clone();
        let before = shown();
        make(folder.path(), &identity.files).unwrap();
        identity.reload();
        assert_ne!(shown(), before);
        fs::write(&identity.files.key, "nonsense").unwrap();
        let good = shown();
        identity.reload();
        assert_eq!(shown(), good, "a broken file must not take the certificate away");
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("absent.pem"),
            key: folder.path().join("absent.key"),
        };
        let error = TlsIdentity::load(files).err().unwrap();
        assert!(error.to_string().contains("absent.pem"), "{error}");
    }

    #[test]
    fn a_key_that_is_none_or_of_another_certificate_is_named() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = TlsIdentity::self_signed(one.path()).map(|_| one).unwrap();
        let two = TlsIdentity::self_signed(two.path()).map(|_| two).unwrap();
        let certificate = one.path().join("certificate.pem");
        let refused = |key| {
            TlsIdentity::load(TlsFiles { certificate: certificate.clone(), key }).err().unwrap()
        };
        let other = refused(two.path().join("key.pem")).to_string();
        assert!(other.contains("key.pem: is not the key of "), "{other}");
        let none = refused(certificate.clone()).to_string();
        assert!(none.ends_with("certificate.pem: holds no private key"), "{none}");
    }
}
