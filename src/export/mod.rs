//! Exports to dashboards and logs: series for `metrics` and OpenTelemetry, events for `tracing`.

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod exporter;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod fleet;
#[cfg(feature = "metrics")]
mod metrics_facade;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(all(feature = "registry", any(feature = "metrics", feature = "opentelemetry")))]
mod registry_series;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod series;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod source;
#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub use exporter::Exporter;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub use fleet::FleetMetrics;
