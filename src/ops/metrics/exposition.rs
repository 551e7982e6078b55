//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::proxy::metrics::Histogram;

/// A page of metrics to be.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// A counter: it only grows while the process lives. Its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// A value of this moment.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Durations by class.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing to a String does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }
}

/// The samples of one name.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// All values of a histogram.
    pub(super) fn samples(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        let counts = histogram.cumulative();
        for (bound, count) in &counts {
            self.line("_bucket", labels, Some(("le", bound)), count);
        }
        self.line("_sum", labels, None, histogram.sum());
        self.line("_count", labels, None, counts.last().map_or(0, |(_, count)| *count));
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, last: Option<(&'static str, &str)>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            let _ = write!(self.text, "{separator}{name}=\"");
            for char in value.chars() {
                match char {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(char),
                }
            }
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn labels_are_escaped_and_histograms_cumulative() {
        let mut page = Exposition::default();
        page.counter("a_total", "Help.").sample(&[], 1).sample(&[("b", "x\"\\\ny"), ("c", "é")], 2.5);
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1500));
        page.histogram("h_seconds", "Help.").samples(&[("b", "x")], &histogram);
        let text = page.finish();
        assert!(text.starts_with(
            "# HELP a_total Help.\n# TYPE a_total counter\na_total 1\na_total{b=\"x\\\"\\\\\\ny\",c=\"é\"} 2.5\n"
        ));
        assert!(
            text.contains("h_seconds_bucket{b=\"x\",le=\"1\"} 0\nh_seconds_bucket{b=\"x\",le=\"2.5\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("h_seconds_sum{b=\"x\"} 1.5\nh_seconds_count{b=\"x\"} 1\n"), "{text}");
    }
}
