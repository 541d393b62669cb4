//! The service on its port, as a test holds it.

use super::counts::Count;
use super::exchange::{Files, Shared};
use super::faults::Rule;
use super::objects::{Now, Objects};
use super::request::{Asked, List, Which};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const BUCKET: &str = "test";
const PREFIX: &str = "store/";
const BACKLOG: u32 = 1_024;
/// Bodies from this size on lie in files, where there is a folder for them.
const FILE_BYTES_MIN: usize = 64 << 10;

/// A running service with one bucket. It ends when it is dropped.
pub(crate) struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
    shared: Arc<Shared>,
    switch: tokio::sync::mpsc::Sender<Switch>,
}

/// Up or down, and who waits for it to be done.
struct Switch {
    up: bool,
    done: mpsc::SyncSender<()>,
}

impl Server {
    /// With all objects in memory.
    pub(crate) fn start() -> Server {
        Server::over(None)
    }

    /// With large objects in files of `folder`, which is there.
    pub(crate) fn start_in(folder: &Path) -> Server {
        let named = AtomicU64::new(0);
        let folder = folder.to_owned();
        Server::over(Some(Files { folder, bytes_min: FILE_BYTES_MIN, named }))
    }

    fn over(files: Option<Files>) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            prefix: PREFIX.to_owned(),
            objects: Mutex::new(Objects::new(BUCKET)),
            faults: Mutex::default(),
            counts: Mutex::default(),
            lifted: watch::channel(()).0,
            files,
        });
        let (switch, switched) = tokio::sync::mpsc::channel(1);
        let port = Port { address, shared: Arc::clone(&shared), switched };
        {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).unwrap();
            runtime.spawn(port.serve(listener));
        }
        Server { runtime: Some(runtime), address, shared, switch }
    }

    /// What `--store` takes.
    pub(crate) fn url(&self) -> String {
        format!("s3://{BUCKET}/{}", PREFIX.trim_end_matches('/'))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For a process that is to use it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "testtest"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let fixed = fixed.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fixed.chain([("AWS_ENDPOINT_URL", self.endpoint())]).collect()
    }

    /// From now on something goes wrong; the number is for [`Server::lift`].
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        self.shared.faults.lock().unwrap().add(rule, Now::look().steady)
    }

    pub(crate) fn lift(&self, rule: u64) {
        self.shared.faults.lock().unwrap().lift(rule);
        self.shared.lifted.send_replace(());
    }

    pub(crate) fn lift_all(&self) {
        self.shared.faults.lock().unwrap().lift_all();
        self.shared.lifted.send_replace(());
    }

    /// Calls once when the `nth` of these requests from now on has arrived and nothing is done yet.
    pub(crate) fn before(
        &self,
        which: Which,
        nth: u32,
        call: impl FnOnce(&Asked) + Send + 'static,
    ) {
        self.shared.faults.lock().unwrap().hook(which, false, nth, Box::new(call));
    }

    /// Calls once when the `nth` of these requests from now on is carried out and not answered yet.
    pub(crate) fn after(&self, which: Which, nth: u32, call: impl FnOnce(&Asked) + Send + 'static) {
        self.shared.faults.lock().unwrap().hook(which, true, nth, Box::new(call));
    }

    /// Refuses connections and closes those that there are, until [`Server::up`].
    pub(crate) fn down(&self) {
        // Under the lock that each request is carried out under.
        self.shared.objects.lock().unwrap().is_up = false;
        self.turn(false);
    }

    pub(crate) fn up(&self) {
        self.shared.objects.lock().unwrap().is_up = true;
        self.turn(true);
    }

    fn turn(&self, up: bool) {
        let (done, wait) = mpsc::sync_channel(1);
        assert!(self.switch.try_send(Switch { up, done }).is_ok(), "one test turns it at a time");
        wait.recv().unwrap();
    }

    /// Lists show what is stored or deleted from now on only so much later.
    pub(crate) fn lag_lists(&self, lag: Duration) {
        self.shared.objects.lock().unwrap().list_lag = lag;
    }

    /// What is deleted from now on can be read so much longer.
    pub(crate) fn lag_deletes(&self, lag: Duration) {
        self.shared.objects.lock().unwrap().delete_lag = lag;
    }

    /// What was asked so far.
    pub(crate) fn count(&self, which: &Which) -> Count {
        self.shared.counts.lock().unwrap().sum(which)
    }

    /// All counts, by kind and folder.
    pub(crate) fn counts(&self) -> Vec<(super::request::Kind, String, Count)> {
        self.shared.counts.lock().unwrap().rows()
    }

    pub(crate) fn clear_counts(&self) {
        self.shared.counts.lock().unwrap().clear();
    }

    /// Names below the store's prefix that begin so, as they are without any lag.
    pub(crate) fn names(&self, begin: &str) -> Vec<String> {
        let prefix = format!("{PREFIX}{begin}");
        let list = List { prefix, keys_max: usize::MAX, ..List::default() };
        let objects = self.shared.objects.lock().unwrap();
        let page = objects.list(BUCKET, &list, Now::look()).unwrap();
        page.objects.iter().map(|(key, _)| key[PREFIX.len()..].to_owned()).collect()
    }

    /// What an object holds.
    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        let objects = self.shared.objects.lock().unwrap();
        let object = objects.get(BUCKET, &format!("{PREFIX}{name}"), Now::look()).ok()?;
        Some(object.body.read(0, object.body.len()).to_vec())
    }

    /// Turns a bit of an object over, for good.
    pub(crate) fn damage(&self, name: &str, bit: u64) {
        self.shared.objects.lock().unwrap().damage(BUCKET, &format!("{PREFIX}{name}"), bit);
    }

    /// Takes an object away, without a request.
    pub(crate) fn remove(&self, name: &str) {
        let mut objects = self.shared.objects.lock().unwrap();
        objects.delete(BUCKET, &format!("{PREFIX}{name}"), Now::look()).unwrap();
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub(crate) fn uploads(&self) -> usize {
        self.shared.objects.lock().unwrap().uploads()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: a test may end inside a runtime, and requests may hang.
            runtime.shutdown_background();
        }
    }
}

/// Who listens.
struct Port {
    address: SocketAddr,
    shared: Arc<Shared>,
    switched: tokio::sync::mpsc::Receiver<Switch>,
}

impl Port {
    async fn serve(mut self, mut listener: TcpListener) {
        loop {
            let (close, closed) = watch::channel(());
            let switch = loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        converse(stream, Arc::clone(&self.shared), closed.clone());
                    },
                    switch = self.switched.recv() => match switch {
                        Some(Switch { up: true, done }) => { let _ = done.send(()); }
                        other => break other,
                    },
                }
            };
            let Some(Switch { done, .. }) = switch else { return };
            drop(listener);
            // Bound and not listening: nobody else takes the port, and connections are refused.
            let kept = TcpSocket::new_v4().unwrap();
            kept.set_reuseaddr(true).unwrap();
            kept.bind(self.address).unwrap();
            drop(closed);
            close.send_replace(());
            close.closed().await;
            let _ = done.send(());
            let Some(Switch { done, .. }) = self.up().await else { return };
            listener = kept.listen(BACKLOG).unwrap();
            let _ = done.send(());
        }
    }

    async fn up(&mut self) -> Option<Switch> {
        loop {
            match self.switched.recv().await? {
                switch @ Switch { up: true, .. } => return Some(switch),
                Switch { done, .. } => {
                    let _ = done.send(());
                }
            }
        }
    }
}

/// Serves a connection until it ends or is to be closed.
#[expect(clippy::disallowed_methods, reason = "a task of the test's own server")]
fn converse(stream: TcpStream, shared: Arc<Shared>, mut close: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Arc::clone(&shared).exchange(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::spawn(async move {
        tokio::select! {
            _ = connection => {}
            _ = close.changed() => {}
        }
    });
}
