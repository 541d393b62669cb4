//! What `serve` logs, and where to.

use crate::serve::Serve;
use gateway::StartError;
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Where events and spans go: lines on standard error, and traces where they are wanted.
pub(crate) struct Log {
    #[cfg(feature = "otel")]
    traces: Option<crate::traces::Traces>,
}

impl Log {
    /// # Errors
    /// When `STRATAMQ_LOG` is no filter, or the address of the traces is none.
    pub(crate) fn start(serve: &Serve) -> anyhow::Result<Log> {
        let filter = log_filter(&std::env::var("STRATAMQ_LOG").unwrap_or_default());
        let filter =
            filter.map_err(|error| StartError::Settings(format!("STRATAMQ_LOG: {error}")))?;
        // Colours are for terminals; `NO_COLOR` turns them off there too (no-color.org).
        let is_colourful = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let lines = fmt::layer().with_ansi(is_colourful).with_writer(std::io::stderr);
        let lines: Box<dyn Layer<Registry> + Send + Sync> =
            if serve.log_json { lines.json().boxed() } else { lines.boxed() };
        let lines = Registry::default().with(lines.with_filter(filter));
        #[cfg(feature = "otel")]
        {
            let traces = serve.traces.open()?;
            lines.with(traces.as_ref().map(crate::traces::Traces::layer)).init();
            Ok(Log { traces })
        }
        #[cfg(not(feature = "otel"))]
        {
            lines.init();
            Ok(Log {})
        }
    }

    /// Sends what waits.
    pub(crate) fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.close();
        }
    }
}

/// `info` where nothing is asked for. A plain `debug` is about the broker: the libraries below it say much more than
/// it does, and are heard only by their name, as in `debug,h2=debug`.
fn log_filter(asked: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let asked = if asked.trim().is_empty() { "info" } else { asked };
    let libraries = "h2=info,hyper=info,hyper_util=info,tonic=info,tower=info,rustls=info,\
                     foyer_storage=warn,foyer_memory=warn";
    EnvFilter::builder().parse(format!("{libraries},{asked}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_level_is_not_for_the_libraries() {
        let shown = |asked| log_filter(asked).unwrap().to_string();
        assert!(shown("debug").contains("h2=info"));
        assert!(shown("debug,h2=trace").contains("h2=trace"));
        assert!(!shown("debug,h2=trace").contains("h2=info"));
        assert!(shown("").contains("info"));
        assert!(log_filter("gateway=loud").is_err());
    }
}
