use std::time::Duration;

use serde_core::ser::{Serialize, SerializeStruct, Serializer};

use super::{LastError, Metrics, RecoveryStep, ShadowMetrics, ShadowRejections, WindowMetrics};

/// Writes the fields by their names.
macro_rules! serialize {
    ($type:ident { $($field:ident: $written:expr,)+ }) => {
        /// With feature `serde`. Every field stands under its name; times are seconds.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $type { $($field,)+ } = self;
                let fields = [$(stringify!($field),)+];
                let mut written = serializer.serialize_struct(stringify!($type), fields.len())?;
                $(written.serialize_field(stringify!($field), &$written)?;)+
                written.end()
            }
        }
    };
}

serialize! {
    Metrics {
        name: **name,
        state: state.as_str(),
        active_calls: active_calls,
        total_success_count: total_success_count,
        total_error_count: total_error_count,
        total_ignored_count: total_ignored_count,
        total_dropped_count: total_dropped_count,
        total_rejected_count: total_rejected_count,
        total_slow_count: total_slow_count,
        consecutive_error_count: consecutive_error_count,
        consecutive_success_count: consecutive_success_count,
        transition_count: transition_count,
        retry_after: seconds(*retry_after),
        last_error: last_error,
        shadow: shadow.as_deref(),
        window: window,
        recovery: recovery.as_deref(),
    }
}

serialize! {
    RecoveryStep {
        step: step,
        steps: steps,
        share: f64::from_bits(*share),
    }
}

serialize! {
    WindowMetrics {
        calls: calls,
        errors: errors,
        slow_calls: slow_calls,
        hanging_calls: hanging_calls,
        dropped_calls: dropped_calls,
    }
}

serialize! {
    ShadowMetrics {
        state: state.as_str(),
        retry_after: seconds(*retry_after),
        seen_calls: seen_calls,
        unseen_calls: unseen_calls,
        transitions: transitions.iter().map(|(cause, count)| (cause.as_str(), count)).collect::<Vec<_>>(),
        rejected_count: rejected_count,
        rejections: rejections,
        window: window,
    }
}

serialize! {
    ShadowRejections {
        success_count: success_count,
        error_count: error_count,
        ignored_count: ignored_count,
        dropped_count: dropped_count,
    }
}

serialize! {
    LastError {
        type_name: type_name,
        at: seconds(*at),
        ago: seconds(*ago),
        message: message.as_deref(),
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
