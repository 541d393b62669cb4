//! Prometheus' text format (version 0.0.4), written. Pure.

use super::names::{COMMON, Metric, NODE_TYPE};
use std::fmt::{Display, Write};
use storage::Distribution;

/// What the answer to a scrape says it is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A scrape being written: metric after metric, each with all its samples.
pub struct Exposition {
    text: String,
    /// The common labels, as they stand in each sample.
    common: String,
}

/// One metric, whose samples are being written.
pub struct Family<'a> {
    metric: &'static Metric,
    text: &'a mut String,
    common: &'a str,
}

impl Exposition {
    /// Begins one whose samples all are of `node` in `cluster`.
    pub fn new(cluster: &str, node: &str) -> Exposition {
        let mut common = String::new();
        for (label, value) in COMMON.into_iter().zip([cluster, NODE_TYPE, node]) {
            push_label(&mut common, label, value);
        }
        Exposition { text: String::new(), common }
    }

    /// Begins a metric. Each metric is begun once, and shown also where it has no sample.
    pub fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        let Metric { name, help, .. } = metric;
        push(&mut self.text, format_args!("# HELP {name} {help}\n"));
        push(&mut self.text, format_args!("# TYPE {name} {}\n", metric.kind.as_str()));
        Family { metric, text: &mut self.text, common: &self.common }
    }

    /// A metric with one sample and no labels of its own.
    pub fn value(&mut self, metric: &'static Metric, value: impl Display) {
        self.family(metric).value(&[], value);
    }

    /// All that was written.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A sample. `labels` are the values of the metric's labels, in their order.
    pub fn value(&mut self, labels: &[&str], value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// The samples of a histogram whose values are in what the metric's unit is measured in.
    pub fn distribution(&mut self, labels: &[&str], read: &Distribution) {
        let scale = self.metric.unit.scale() as f64;
        let mut below = 0;
        for (at, count) in read.counts.iter().enumerate() {
            below += count;
            let bound = read.bounds.get(at).map_or(f64::INFINITY, |bound| *bound as f64 / scale);
            self.sample("_bucket", labels, Some(bound), below);
        }
        self.sample("_sum", labels, None, read.sum as f64 / scale);
        self.sample("_count", labels, None, below);
    }

    fn sample(&mut self, suffix: &str, values: &[&str], bound: Option<f64>, value: impl Display) {
        let Metric { name, labels, .. } = self.metric;
        debug_assert_eq!(labels.len(), values.len(), "a value for each label of {name}");
        push(self.text, format_args!("{name}{suffix}{{{}", self.common));
        for (label, value) in labels.iter().zip(values) {
            push_label(self.text, label, value);
        }
        match bound {
            None => {}
            Some(bound) if bound.is_infinite() => push_label(self.text, "le", "+Inf"),
            Some(bound) => push_label(self.text, "le", &bound.to_string()),
        }
        // The comma behind the last label is the next one's that does not come.
        self.text.pop();
        push(self.text, format_args!("}} {value}\n"));
    }
}

/// `name="value",`
fn push_label(text: &mut String, name: &str, value: &str) {
    push(text, format_args!("{name}=\""));
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push_str("\",");
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes whatever is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::names;
    use storage::Histogram;

    #[test]
    fn values_have_their_labels_escaped_and_the_common_ones_first() {
        let mut exposition = Exposition::new("c", "n\"1\\");
        exposition.value(&names::TOPIC_NUMBER, 3);
        let mut family = exposition.family(&names::EPOCH);
        family.value(&["strata-0001"], 7u32);
        family.value(&["strata-0002"], 0.5);
        let text = exposition.into_text();
        let common = r#"cluster="c",node_type="broker",node_id="n\"1\\""#;
        let expected = format!(
            "# HELP rocketmq_topic_number {}\n\
             # TYPE rocketmq_topic_number gauge\n\
             rocketmq_topic_number{{{common}}} 3\n\
             # HELP stratamq_epoch {}\n\
             # TYPE stratamq_epoch gauge\n\
             stratamq_epoch{{{common},broker=\"strata-0001\"}} 7\n\
             stratamq_epoch{{{common},broker=\"strata-0002\"}} 0.5\n",
            names::TOPIC_NUMBER.help,
            names::EPOCH.help,
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn buckets_are_cumulative_and_in_the_unit_that_is_shown() {
        static MICROS: [u64; 2] = [50, 1_000_000];
        let histogram = Histogram::<3>::new(&MICROS);
        for micros in [10, 20, 1_000, 2_000_000] {
            histogram.count(micros);
        }
        let mut exposition = Exposition::new("c", "n");
        exposition.family(&names::SYNC_SECONDS).distribution(&[], &histogram.read());
        let text =
            exposition.into_text().replace(r#"cluster="c",node_type="broker",node_id="n""#, "");
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"stratamq_journal_sync_seconds_bucket{,le="0.00005"} 2"#,
                r#"stratamq_journal_sync_seconds_bucket{,le="1"} 3"#,
                r#"stratamq_journal_sync_seconds_bucket{,le="+Inf"} 4"#,
                "stratamq_journal_sync_seconds_sum{} 2.00103",
                "stratamq_journal_sync_seconds_count{} 4",
            ]
        );
    }
}
