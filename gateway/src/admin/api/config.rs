//! Bodies about settings.

use serde::{Deserialize, Serialize};

/// `GET /v1/config`: what the gateway that answers runs with. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Of the gateway.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// The gateway's name.
    pub gateway: String,
    /// The folder of its data.
    pub data: String,
    /// Address of gRPC clients.
    pub grpc: String,
    /// Address of the name server.
    pub nameserver: String,
    /// Address of the broker port.
    pub broker: String,
    /// Address of this API.
    pub http: String,
    /// Names beside addresses and localhost by which this API may be reached.
    pub http_names: Vec<String>,
    /// What routes tell gRPC clients; none: the address that they used.
    pub advertise_grpc: Option<String>,
    /// What routes tell Remoting clients; none: the address that they reached.
    pub advertise_remoting: Option<String>,
    /// The certificate's file; none: self-signed.
    pub tls_certificate: Option<String>,
    /// Placement groups of the cluster.
    pub placement_groups: u32,
    /// Bytes that the journal may take.
    pub journal_capacity_bytes: u64,
    /// Bytes of one journal segment.
    pub journal_segment_bytes: u64,
    /// Whether groups come to be at their first use.
    pub auto_create_groups: bool,
}
