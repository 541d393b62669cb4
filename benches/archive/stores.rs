//! The stores that are measured: a folder, and an S3-compatible service in a process of its own.

use super::process::Processes;
use super::system::Kit;
use super::{fresh, s3};
use object_store::ObjectStore;
use object_store::StaticCredentialProvider;
use object_store::aws::AmazonS3Builder;
use object_store::client::ClientOptions;
use object_store::local::LocalFileSystem;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::env::Env;
use storage::object::{AwsCredential, Bucket, S3Access, StoreUrl};

/// Argument with which this bench's binary is an S3 server.
const SERVE: &str = "--serve-s3-in";
const PATIENCE: Duration = Duration::from_secs(30);
const KEY: (&str, &str) = ("test", "testtest");
const REGION: &str = "us-east-1";

/// A store that is there as long as this is.
pub(crate) struct Store {
    /// What numbers of it begin with.
    pub(crate) name: &'static str,
    url: StoreUrl,
    endpoint: Option<String>,
    _server: Processes,
}

impl Store {
    /// As our code has it, below a prefix; with nothing known of it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn bucket_in(&self, name: &str) -> io::Result<Bucket> {
        let url = format!("{}/{name}", self.url).parse().map_err(io::Error::other)?;
        let access = self.endpoint.as_ref().map(|endpoint| {
            let (key_id, secret_key) = (KEY.0.to_owned(), KEY.1.to_owned());
            let credential = AwsCredential { key_id, secret_key, token: None };
            S3Access {
                credentials: Some(Arc::new(StaticCredentialProvider::new(credential))),
                region: Some(REGION.to_owned()),
                endpoint: Some(endpoint.clone()),
            }
        });
        Bucket::open(&url, access, Env::system()).map_err(io::Error::other)
    }

    /// Without our code.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn raw(&self) -> io::Result<Arc<dyn ObjectStore>> {
        match (&self.url, &self.endpoint) {
            (StoreUrl::S3 { bucket, .. }, Some(endpoint)) => {
                let store = AmazonS3Builder::new()
                    .with_client_options(ClientOptions::new().with_allow_http(true))
                    .with_bucket_name(bucket)
                    .with_endpoint(endpoint)
                    .with_region(REGION)
                    .with_access_key_id(KEY.0)
                    .with_secret_access_key(KEY.1);
                Ok(Arc::new(store.build().map_err(io::Error::other)?))
            }
            (StoreUrl::Folder(folder), _) => {
                Ok(Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(io::Error::other)?))
            }
            (StoreUrl::S3 { .. }, None) => Err(io::Error::other("a service without endpoint")),
        }
    }

    /// For a broker's process, below a prefix that nobody used before.
    pub(crate) fn place(&self, name: &str) -> Place {
        let fixed = |endpoint: &String| {
            let own = [
                ("AWS_ACCESS_KEY_ID", KEY.0),
                ("AWS_SECRET_ACCESS_KEY", KEY.1),
                ("AWS_REGION", REGION),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_ENDPOINT_URL", endpoint),
            ];
            own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
        };
        let variables = self.endpoint.as_ref().map(fixed).unwrap_or_default();
        Place { url: format!("{}/{name}", self.url), variables }
    }

    /// What keys of [`Store::raw`] begin with that are names of [`Store::bucket_in`].
    pub(crate) fn prefix(&self, name: &str) -> String {
        match &self.url {
            StoreUrl::S3 { prefix: Some(prefix), .. } => format!("{prefix}/{name}/"),
            StoreUrl::S3 { prefix: None, .. } | StoreUrl::Folder(_) => format!("{name}/"),
        }
    }
}

/// Where a broker keeps its sealed data.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What `--store` takes.
    pub(crate) url: String,
    /// Of the process's environment.
    pub(crate) variables: Vec<(String, String)>,
}

impl Place {
    /// An empty folder of this run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn folder(kit: &Kit, name: &str) -> io::Result<(Place, PathBuf)> {
        let folder = fresh(&kit.work, name)?;
        let url = StoreUrl::Folder(folder.clone()).to_string();
        Ok((Place { url, variables: Vec::new() }, folder))
    }
}

/// The server of the tests in this process, each GET of which waits a little once it is told to.
pub(crate) struct Slow {
    pub(crate) store: Store,
    server: s3::server::Server,
}

impl Slow {
    pub(crate) const DELAY: Duration = Duration::from_millis(20);

    /// With large objects in files.
    ///
    /// # Errors
    /// When there is no folder for it.
    pub(crate) fn start(kit: &Kit) -> io::Result<Slow> {
        let server = s3::server::Server::start_in(&fresh(&kit.work, "slow")?);
        let url = server.url().parse().map_err(io::Error::other)?;
        let endpoint = Some(server.endpoint());
        let store = Store { name: "slow", url, endpoint, _server: Processes::none() };
        Ok(Slow { store, server })
    }

    /// From now on.
    pub(crate) fn delay(&self) {
        let gets = s3::request::Which::of(&[s3::request::Kind::Get]);
        self.server.add(s3::faults::Rule::new(s3::faults::Fault::Delay(Slow::DELAY), gets));
    }
}

/// All of them, empty.
///
/// # Errors
/// When a server does not start.
pub(crate) fn all(root: &Path, kit: &Kit) -> io::Result<Vec<Store>> {
    let folder = Store {
        name: "folder",
        url: StoreUrl::Folder(fresh(&kit.work, "folder")?),
        endpoint: None,
        _server: Processes::none(),
    };
    let versitygw = root.join(".tools/bin/versitygw");
    let service = if versitygw.exists() { real(&versitygw, kit)? } else { ours(kit)? };
    Ok(vec![folder, service])
}

/// The server of the tests.
fn ours(kit: &Kit) -> io::Result<Store> {
    let folder = fresh(&kit.work, "s3")?;
    let log = folder.with_extension("log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(&kit.echo);
    command.arg(SERVE).arg(&folder);
    let mut server = Processes::none();
    server.start(command, &log)?;
    let began = Instant::now();
    let (url, endpoint) = loop {
        let text = std::fs::read_to_string(&log)?;
        if let Some((url, endpoint)) = text.trim_end().split_once(' ') {
            break (url.to_owned(), endpoint.to_owned());
        }
        server.check()?;
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("the S3 server never served"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let url = url.parse().map_err(io::Error::other)?;
    Ok(Store { name: "s3", url, endpoint: Some(endpoint), _server: server })
}

/// versitygw over a folder.
fn real(binary: &Path, kit: &Kit) -> io::Result<Store> {
    let folder = fresh(&kit.work, "s3")?;
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("archive"))?;
    // It takes no port 0; one that was free a moment ago mostly still is.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new(binary);
    command.args(["--port", &format!("127.0.0.1:{port}"), "--region", REGION]);
    command.args(["--access", KEY.0, "--secret", KEY.1, "posix"]).arg(&data);
    let mut server = Processes::none();
    server.start(command, &folder.join("log"))?;
    server.wait_for_port(port)?;
    let url = "s3://archive/store".parse().map_err(io::Error::other)?;
    let endpoint = Some(format!("http://127.0.0.1:{port}"));
    Ok(Store { name: "s3", url, endpoint, _server: server })
}

/// The folder, if this process is to be a server.
pub(crate) fn asked_to_serve() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == SERVE).then(|| arguments.next().map(PathBuf::from))?
}

/// Serves, and says where.
///
/// # Errors
/// When nobody can be told.
pub(crate) fn serve_until_killed(folder: &Path) -> io::Result<()> {
    let server = s3::server::Server::start_in(folder);
    writeln!(io::stdout(), "{} {}", server.url(), server.endpoint())?;
    loop {
        std::thread::park();
    }
}
