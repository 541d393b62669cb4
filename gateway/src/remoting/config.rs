//! The settings that the gateway runs with, as `getBrokerConfig` lists them.

use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use crate::settings::HostPort;
use protocol::remoting::body::DataVersion;
use std::fmt::Write;

/// GET_BROKER_CONFIG (26): a Java properties file. What Apache has a key for is under that key,
/// everything else under keys that begin with `stratamq`.
pub(super) fn show(session: &Session<'_>) -> Answer {
    let broker = session.broker;
    let (settings, at) = (&broker.settings, &broker.addresses);
    let (host, port) = session.address.rsplit_once(':').unwrap_or((&session.address, ""));
    let mut file = Properties::default();
    file.put("brokerClusterName", &settings.cluster);
    file.put("brokerIP1", host.trim_matches(['[', ']']));
    file.put("listenPort", port);
    file.put("brokerId", "0");
    file.put("namesrvAddr", at.nameserver);
    file.put("storePathRootDir", settings.data.display());
    file.put("storePathCommitLog", settings.data.join("journal").display());
    file.put("mappedFileSizeCommitLog", settings.journal.segment_bytes);
    file.put("autoCreateSubscriptionGroup", settings.auto_create_groups);
    file.put("autoCreateTopicEnable", false);
    file.put("stratamqVersion", env!("CARGO_PKG_VERSION"));
    file.put("stratamqGateway", &settings.gateway);
    file.put("stratamqGrpcAddress", at.grpc);
    file.put("stratamqHttpAddress", at.http);
    file.put("stratamqHttpNames", settings.http_names.join(","));
    let name = |named: &Option<HostPort>| named.as_ref().map_or(String::new(), |it| it.to_string());
    file.put("stratamqAdvertiseGrpc", name(&settings.advertise.grpc));
    file.put("stratamqAdvertiseRemoting", name(&settings.advertise.remoting));
    let certificate = settings.tls.as_ref().map(|files| files.certificate.display().to_string());
    file.put("stratamqTlsCertificate", certificate.unwrap_or_default());
    file.put("stratamqPlacementGroups", broker.catalog.cluster().pgs);
    file.put("stratamqJournalCapacityBytes", settings.journal.capacity);
    file.put("stratamqJournalSpareSegments", settings.journal.spare_segments);
    // Settings never change while a gateway runs.
    let version = serde_json::to_string(&DataVersion::default()).expect("numbers by name");
    Ok(Reply::bytes(file.0).with("version", version))
}

/// UPDATE_BROKER_CONFIG (25).
pub(super) fn update() -> Answer {
    Err(Refusal::FixedSettings)
}

/// `key=value` lines as `java.util.Properties` reads them.
#[derive(Default)]
struct Properties(String);

impl Properties {
    fn put(&mut self, key: &str, value: impl ToString) {
        let text = &mut self.0;
        text.push_str(key);
        text.push('=');
        // Blanks at the beginning would be passed over, and bytes above ASCII read as Latin 1.
        let value = value.to_string();
        for unit in value.encode_utf16() {
            match char::from_u32(u32::from(unit)) {
                Some('\\') => text.push_str("\\\\"),
                Some(' ') => text.push_str("\\ "),
                Some(plain @ '!'..='~') => text.push(plain),
                Some(_) | None => write!(text, "\\u{unit:04x}").expect("a string takes everything"),
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_java_reads_them() {
        let mut file = Properties::default();
        file.put("plain", "/data/a=b:c#1");
        file.put("odd", " a\\b\n\u{e9}\u{1f600}");
        let odd = r"odd=\ a\\b\u000a\u00e9\ud83d\ude00";
        assert_eq!(file.0, format!("plain=/data/a=b:c#1\n{odd}\n"));
    }
}
