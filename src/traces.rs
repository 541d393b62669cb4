//! Spans of requests on their way to an OpenTelemetry collector, as OTLP over gRPC (feature `otel`).
//!
//! Only the broker's own request spans go there, and of them the share that the operator chose. The
//! connection is plaintext: a collector on the same host or network takes it from there, and the
//! broker needs no second set of certificates.

use anyhow::Context;
use clap::Args;
use gateway::observe::spans;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take at the stop.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Where spans go.
#[derive(Args, Debug)]
pub(crate) struct TraceFlags {
    /// OpenTelemetry collector that spans of requests are sent to (OTLP over gRPC, plaintext)
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "http://HOST:4317")]
    trace_collector: Option<String>,
    /// Share of requests that are traced, 0 to 1
    #[arg(long, default_value_t = 0.01, value_parser = parse_share, value_name = "SHARE")]
    trace_share: f64,
}

/// Spans on their way.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl TraceFlags {
    /// `None` where nobody asked for traces. Called in a runtime, which then carries the connection;
    /// whether a collector is there shows only when spans are sent.
    ///
    /// # Errors
    /// For what is no address.
    pub(crate) fn open(&self) -> anyhow::Result<Option<Traces>> {
        let Some(collector) = &self.trace_collector else { return Ok(None) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(collector).build();
        let exporter = exporter.with_context(|| format!("cannot send traces to {collector}"))?;
        let sampler = Sampler::TraceIdRatioBased(self.trace_share);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(Resource::builder().with_service_name("stratamq").build())
            .build();
        Ok(Some(Traces { provider }))
    }
}

impl Traces {
    /// What takes the spans from the program.
    pub(crate) fn layer<S>(&self) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let requests = Targets::new().with_target(spans::TARGET, LevelFilter::DEBUG);
        let tracer = self.provider.tracer("stratamq");
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(requests)
    }

    /// Sends what waits. The runtime in which it was opened still runs.
    pub(crate) fn close(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(CLOSE_TIME_MAX) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; try 0.01 for one request in a hundred"))
}
