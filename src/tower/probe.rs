use std::fmt;

/// Decides what a probe requests: [`Unmapped`] or [`MapProbe`].
///
/// The trait is sealed. You need it only in bounds.
pub trait OnProbe<Q>: sealed::Sealed {
    /// The request to send for that of a probe.
    #[doc(hidden)]
    fn map(&self, request: Q) -> Q;
}

mod sealed {
    pub trait Sealed {}
}

/// A probe's request goes to the service unchanged. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmapped;

impl sealed::Sealed for Unmapped {}

impl<Q> OnProbe<Q> for Unmapped {
    fn map(&self, request: Q) -> Q {
        request
    }
}

/// A probe's request is mapped by a function. Set by [`BreakerLayer::on_probe`](super::BreakerLayer::on_probe).
#[derive(Clone, Copy)]
pub struct MapProbe<F> {
    map: F,
}

impl<F> MapProbe<F> {
    pub(super) const fn new(map: F) -> Self {
        MapProbe { map }
    }
}

impl<F> sealed::Sealed for MapProbe<F> {}

impl<Q, F: Fn(Q) -> Q> OnProbe<Q> for MapProbe<F> {
    fn map(&self, request: Q) -> Q {
        (self.map)(request)
    }
}

impl<F> fmt::Debug for MapProbe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapProbe").finish_non_exhaustive()
    }
}
