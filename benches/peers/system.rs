//! The systems that are compared, each started on a fresh folder.

use super::process::Processes;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Every topic that a round sends to, so that no measurement meets what another left.
pub(crate) const TOPICS: [&str; 7] =
    ["warm", "send", "send-async", "receive", "one", "through", "deep"];
const QUEUES: u32 = 8;
/// Well over what a round sends.
const JOURNAL: &str = "8GiB";
const PATIENCE: Duration = Duration::from_secs(90);

/// Arguments with which this bench's binary is an echo server.
pub(crate) const ECHO: &str = "--echo-server";
pub(crate) const ECHO_SMALL_WINDOWS: &str = "--echo-server-small-windows";

/// Apache's ports: its own are often taken on a machine where it was tried out.
const NAME_SERVER_PORT: u16 = 29_876;
const BROKER_PORT: u16 = 30_911;
const PROXY_PORT: u16 = 28_081;
const PROXY_REMOTING_PORT: u16 = 28_080;
const NAME_SERVER_HEAP: &str = "256m";
const HEAP: &str = "1g";
const PROXY_ATTEMPTS_MAX: u32 = 5;

/// What has been built and fetched.
pub(crate) struct Kit {
    pub(crate) stratamq: PathBuf,
    /// The floor's echo server.
    pub(crate) echo: PathBuf,
    /// Apache's jars; none when it is left out.
    pub(crate) jars: Option<PathBuf>,
    pub(crate) work: PathBuf,
}

/// A running system.
pub(crate) struct System {
    pub(crate) processes: Processes,
    pub(crate) endpoint: String,
    /// Of the HTTP API; ours only.
    pub(crate) http: Option<String>,
    /// From the launch of the first process to the first acknowledged send.
    pub(crate) launch: Duration,
}

impl Kit {
    /// An empty folder for one start.
    fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.work.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Runs our binary; an error has its last line.
    pub(crate) fn stratamq(&self, arguments: &[&str]) -> io::Result<()> {
        let output = Command::new(&self.stratamq).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(format!("stratamq {}: {complaint}", arguments.join(" "))))
    }

    pub(crate) fn ours(&self) -> io::Result<System> {
        let folder = self.fresh("ours")?;
        let data = folder.join("data");
        let began = Instant::now();
        let mut processes = Processes::none();
        let mut command = Command::new(&self.stratamq);
        let ports = ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0", "--http-port=0"];
        command.arg("serve").args(ports).args(["--journal-capacity", JOURNAL]);
        command.arg("--data").arg(&data);
        processes.start(command, &folder.join("log"))?;
        let addresses = loop {
            // Renamed into place, so whole once it is there.
            if let Ok(text) = std::fs::read(data.join("addresses.json")) {
                break serde_json::from_slice::<serde_json::Value>(&text)?;
            }
            processes.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("ours never served"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let address = |name: &str| addresses[name].as_str().unwrap_or_default().to_owned();
        let (endpoint, http) = (address("grpc"), address("http"));
        self.create_topic(&http, "warm")?;
        self.first_send(&mut processes, &endpoint, began)?;
        let launch = began.elapsed();
        for topic in TOPICS.iter().filter(|topic| **topic != "warm") {
            self.create_topic(&http, topic)?;
        }
        Ok(System { processes, endpoint, http: Some(http), launch })
    }

    fn create_topic(&self, http: &str, topic: &str) -> io::Result<()> {
        let durability = if topic.ends_with("-async") { "async" } else { "local" };
        let (queues, admin) = (QUEUES.to_string(), ["--admin", http]);
        let what = ["topic", "create", topic, "--durability", durability, "--queues", &queues];
        self.stratamq(&[&what[..], &admin[..]].concat())
    }

    /// Three JVMs, as a deployment has them. `flush` is `SYNC_FLUSH` or `ASYNC_FLUSH`. Topics lie
    /// in the store before the start, which spares Apache the administration at launch.
    pub(crate) fn apache(&self, jars: &Path, flush: &str) -> io::Result<System> {
        let folder = self.fresh("apache")?;
        let files = write_settings(&folder, flush)?;
        let began = Instant::now();
        let mut processes = Processes::none();
        let java = |heap: &str, main: &str, arguments: &[&str]| {
            let mut command = Command::new("java");
            command.args([format!("-Xms{heap}"), format!("-Xmx{heap}")]);
            command.args(["-server", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=2g"]);
            command.args(OPENED).arg(format!("-Duser.home={}", folder.display()));
            command.arg("-cp").arg(jars.join("*")).arg(main).args(arguments);
            command.env("ROCKETMQ_HOME", &folder);
            command
        };
        let name_server = format!("127.0.0.1:{NAME_SERVER_PORT}");
        let log = folder.join("log");
        processes.start(java(NAME_SERVER_HEAP, NAME_SERVER, &["-c", &files.name_server]), &log)?;
        processes.wait_for_port(NAME_SERVER_PORT)?;
        processes.start(java(HEAP, BROKER, &["-n", &name_server, "-c", &files.broker]), &log)?;
        // Its port opens before the name server knows it, and a proxy ends when it finds no broker.
        processes.wait_for_line(&log, "The broker[")?;
        let arguments = ["-n", &name_server, "-pm", "cluster", "-pc", &files.proxy];
        for attempt in 1.. {
            processes.start(java(HEAP, PROXY, &arguments), &log)?;
            match processes.wait_for_port(PROXY_PORT) {
                Ok(()) => break,
                // What a supervisor would do.
                Err(_) if attempt < PROXY_ATTEMPTS_MAX => processes.forget_ended()?,
                Err(error) => return Err(error),
            }
        }
        let endpoint = format!("127.0.0.1:{PROXY_PORT}");
        self.first_send(&mut processes, &endpoint, began)?;
        Ok(System { processes, endpoint, http: None, launch: began.elapsed() })
    }

    /// The floor's gRPC echo.
    pub(crate) fn echo(&self, mode: &str) -> io::Result<System> {
        let folder = self.fresh("echo")?;
        let log = folder.join("log");
        let began = Instant::now();
        let mut processes = Processes::none();
        let mut command = Command::new(&self.echo);
        command.arg(mode);
        processes.start(command, &log)?;
        let endpoint = loop {
            let text = std::fs::read_to_string(&log)?;
            if let Some(line) = text.lines().next().filter(|_| text.ends_with('\n')) {
                break line.to_owned();
            }
            processes.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("the echo never served"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(System { processes, endpoint, http: None, launch: began.elapsed() })
    }

    /// Tries until a send is acknowledged.
    fn first_send(
        &self,
        processes: &mut Processes,
        endpoint: &str,
        began: Instant,
    ) -> io::Result<()> {
        let send = ["bench", "send", "warm", "--messages=1", "--in-flight=1", "--json"];
        loop {
            let output =
                Command::new(&self.stratamq).args(send).args(["--endpoint", endpoint]).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && text.contains("\"messages\":1,") {
                return Ok(());
            }
            processes.check()?;
            if began.elapsed() > PATIENCE {
                let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(io::Error::other(format!("no send was taken: {complaint}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const NAME_SERVER: &str = "org.apache.rocketmq.namesrv.NamesrvStartup";
const BROKER: &str = "org.apache.rocketmq.broker.BrokerStartup";
const PROXY: &str = "org.apache.rocketmq.proxy.ProxyStartup";
/// What the servers' own scripts open for Java 9 and later.
const OPENED: [&str; 7] = [
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
];

/// Paths, as arguments.
struct Settings {
    name_server: String,
    broker: String,
    proxy: String,
}

fn write_settings(folder: &Path, flush: &str) -> io::Result<Settings> {
    let store = folder.join("store");
    let write = |name: &str, text: String| -> io::Result<String> {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let shown = store.display();
    let name_server = format!(
        "listenPort={NAME_SERVER_PORT}\nbindAddress=127.0.0.1\nkvConfigPath={shown}/kv.json\n\
         configStorePath={shown}/namesrv.properties\n"
    );
    let broker = format!(
        "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\n\
         brokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\nbindAddress=127.0.0.1\n\
         listenPort={BROKER_PORT}\nnamesrvAddr=127.0.0.1:{NAME_SERVER_PORT}\n\
         brokerRole=ASYNC_MASTER\nflushDiskType={flush}\nstorePathRootDir={shown}\n\
         storePathCommitLog={shown}/commitlog\nautoCreateTopicEnable=true\n\
         autoCreateSubscriptionGroup=true\n"
    );
    let proxy = serde_json::json!({
        "rocketMQClusterName": "DefaultCluster",
        "proxyClusterName": "DefaultCluster",
        "namesrvAddr": format!("127.0.0.1:{NAME_SERVER_PORT}"),
        "localServeAddr": "127.0.0.1",
        "grpcServerPort": PROXY_PORT,
        "remotingListenPort": PROXY_REMOTING_PORT,
        "useEndpointPortFromRequest": true,
    });
    let topic = |name: &&str| {
        let settings = serde_json::json!({
            "topicName": name, "readQueueNums": QUEUES, "writeQueueNums": QUEUES, "perm": 6,
            "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": false,
            "attributes": { "message.type": "NORMAL" },
        });
        ((*name).to_owned(), settings)
    };
    let topics: serde_json::Map<_, _> = TOPICS.iter().map(topic).collect();
    let topics = serde_json::json!({
        "dataVersion": { "counter": 1, "stateVersion": 0, "timestamp": 0 },
        "topicConfigTable": topics,
    });
    write("store/config/topics.json", topics.to_string())?;
    Ok(Settings {
        name_server: write("conf/namesrv.conf", name_server)?,
        broker: write("conf/broker.conf", broker)?,
        proxy: write("conf/rmq-proxy.json", proxy.to_string())?,
    })
}

/// Fetches Apache's jars into .tools of this clone, once.
pub(crate) fn fetch_apache(root: &Path) -> io::Result<PathBuf> {
    let output = Command::new(root.join("benches/peers/apache/fetch"))
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("Apache RocketMQ's jars cannot be fetched"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
