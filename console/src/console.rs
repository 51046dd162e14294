use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use tokio::sync::watch;
use tripcoil::{CircuitBreaker, Registry};

use crate::access::Access;
use crate::audit::Audit;
use crate::core::{AccessOf, AuditHook, Closing, Core};
use crate::journal::Journal;
use crate::service::ConsoleService;
use crate::source::{Held, Shared, Sources};

/// The bytes of history that are kept unless [`Console::history_limit`] says otherwise: 16 MiB.
const HISTORY_LIMIT: usize = 16 * 1024 * 1024;

/// A web page for watching and operating breakers.
///
/// Add breakers and registries, set who may do what, and mount the console with [`router`](Self::router),
/// [`service`](Self::service) or [`serve`](Self::serve).
///
/// ```
/// use std::sync::LazyLock;
/// use tripcoil::{CircuitBreaker, Registry};
/// use tripcoil_console::{Access, Console};
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
/// static HOSTS: LazyLock<Registry<String>> = LazyLock::new(|| Registry::new("hosts"));
///
/// let console = Console::new().breaker(&PAYMENTS).registry(&HOSTS).access(|request| {
///     match request.headers.get("x-forwarded-user").and_then(|user| user.to_str().ok()) {
///         Some(user) => Access::Full { actor: user.into() },
///         None => Access::ReadOnly,
///     }
/// });
/// # #[cfg(feature = "axum")]
/// let app: axum::Router = axum::Router::new().nest("/breakers", console.router());
/// ```
#[must_use = "a console shows nothing until it is mounted"]
pub struct Console(Settings);

pub(crate) struct Settings {
    pub(crate) sources: Sources,
    pub(crate) access: AccessOf,
    pub(crate) audit: Vec<AuditHook>,
    pub(crate) journals: Vec<Journal>,
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) history_limit: usize,
    pub(crate) closing: Arc<Closing>,
}

impl Default for Console {
    fn default() -> Self {
        Console::new()
    }
}

impl Console {
    /// Creates an empty, read-only console.
    pub fn new() -> Self {
        Console(Settings {
            sources: Sources::default(),
            access: Box::new(|_| Access::ReadOnly),
            audit: Vec::new(),
            journals: Vec::new(),
            origins: Vec::new(),
            hosts: Vec::new(),
            history_limit: HISTORY_LIMIT,
            closing: Arc::new(Closing { is_closed: AtomicBool::new(false), samples: watch::Sender::new(0) }),
        })
    }

    /// Adds a breaker: a reference to a `static`, a reference to a `static` [`LazyLock`](std::sync::LazyLock), or an
    /// [`Arc`].
    ///
    /// Give each breaker a unique name. If two breakers have the same name, the page shows both and refuses to act on
    /// either.
    pub fn breaker(mut self, breaker: impl Shared<CircuitBreaker>) -> Self {
        self.0.sources.breakers.push(Box::new(breaker));
        self
    }

    /// Adds a registry. The page shows the sums over its breakers, the worst breakers by name, and every breaker in
    /// the list. Give each registry a unique name.
    ///
    /// The console reads every listed breaker once a second without marking it as used. It does not affect which
    /// breaker is evicted. Reading clones and hashes each key. If this panics, the page shows that the registry
    /// cannot be read, and the console continues.
    pub fn registry<K, S>(mut self, registry: impl Shared<Registry<K, S>>) -> Self
    where
        K: Eq + Hash + Clone + 'static,
        S: BuildHasher + 'static,
    {
        self.0.sources.registries.push(Box::new(Held::new(registry)));
        self
    }

    /// Adds a fleet. The page shows its members and its store, and for each breaker that has joined who votes, who probes
    /// and which order is in force. With [`Access::Full`] or [`Access::Fleet`], the page offers acts for the whole
    /// fleet too. You can add several fleets.
    ///
    /// The console keeps a [handle](tripcoil_fleet::Fleet::handle), not the fleet: drop the `Fleet` when you want to
    /// leave.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    /// use tripcoil_console::Console;
    /// use tripcoil_fleet::{Fleet, Memory};
    ///
    /// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let fleet = Fleet::builder("checkout").store(Memory::new()).build()?;
    /// fleet.join(&PAYMENTS);
    /// let console = Console::new().breaker(&PAYMENTS).fleet(&fleet);
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    #[cfg(feature = "fleet")]
    #[cfg_attr(docsrs, doc(cfg(feature = "fleet")))]
    pub fn fleet(mut self, fleet: &tripcoil_fleet::Fleet) -> Self {
        self.0.sources.fleets.push(Arc::new(crate::fleet::Member::new(fleet.handle())));
        self
    }

    /// Adds a [`Journal`], so that the page shows the causes and counts of transitions. You can add several journals.
    pub fn journal(mut self, journal: &Journal) -> Self {
        self.0.journals.push(journal.clone());
        self
    }

    /// Sets the function that decides what the sender of a request may see and do. Default: [`Access::ReadOnly`] for
    /// everyone.
    ///
    /// The console calls `access` for each request, including assets, on the thread that serves the request. It
    /// should return immediately. If it panics, the server answers with 500 and does nothing. The console checks an
    /// open page again after at most ten minutes, and with each action.
    ///
    /// The console has no login, no session and no cookie. Authenticate the sender in your own middleware, and read
    /// the result here from a header or from the extensions of the request.
    pub fn access(mut self, access: impl Fn(&Parts) -> Access + Send + Sync + 'static) -> Self {
        self.0.access = Box::new(access);
        self
    }

    /// Adds a hook that receives every attempt to act, including refused ones.
    ///
    /// The console calls the hook after the act and before it sends the answer, on the thread that serves the
    /// request. Panics are caught. The hook does not receive requests that are rejected because they have another
    /// origin or lack the console's header.
    pub fn on_audit(mut self, hook: impl Fn(&Audit) + Send + Sync + 'static) -> Self {
        self.0.audit.push(Box::new(hook));
        self
    }

    /// Also accepts acts from pages of this origin, such as `"https://ops.example"`.
    ///
    /// You need this only if a reverse proxy changes the `Host` header and the browser sends no `Sec-Fetch-Site`.
    /// Browsers omit that header over plain HTTP.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.0.origins.push(origin.into().to_ascii_lowercase());
        self
    }

    /// Makes [`serve`](Self::serve) accept requests for this host, such as `"ops.example"` or `"ops.example:9000"`.
    ///
    /// A host without a port matches every port. `localhost` and IP addresses are always accepted.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.0.hosts.push(host.into().to_ascii_lowercase());
        self
    }

    /// Sets the maximum size of all histories together, in bytes. Default: 16 MiB. Any number is allowed; 0 disables
    /// histories.
    ///
    /// The history of one breaker covers its last hour and takes at most 8 KiB. If the limit is too small for all
    /// breakers, those that are not closed get a history first, then those with calls in the last minute. The others
    /// have none. In addition, each breaker takes about 1.3 KB plus its name.
    pub fn history_limit(mut self, bytes: usize) -> Self {
        self.0.history_limit = bytes;
        self
    }

    /// Returns a handle that closes the pages' live connections, for a graceful shutdown of your server.
    ///
    /// An open page keeps its connection for ten minutes. Use this handle if your server waits for all connections to
    /// end.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.0.closing.clone())
    }

    /// Returns a service for hyper or any `tower` stack. It is cheap to clone, and clones share all state.
    ///
    /// The service expects paths relative to its mount point: `/` for the page, `/api/breakers` for the JSON. The
    /// page uses relative URLs. Unless you mount it with axum, its path has to end with `/`.
    ///
    /// # Panics
    ///
    /// Panics if the operating system cannot start the thread that samples the breakers. This thread samples once a
    /// second until the last clone is dropped.
    #[must_use]
    pub fn service(self) -> ConsoleService {
        let core = Core::new(self.0);
        let sampler = crate::sampler::start(&core).expect("the operating system can start a thread");
        ConsoleService::new(core, sampler)
    }

    /// Returns a router for axum. Mount it with `nest` or `merge`.
    ///
    /// With `nest("/breakers", ..)`, the page is at `/breakers`, because axum does not forward `/breakers/` to a
    /// nested router. With `nest_service("/breakers", console.service())`, the page is at both paths.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`service`](Self::service).
    #[cfg(feature = "axum")]
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> axum::Router<S> {
        crate::router::router(self.service())
    }

    /// Serves the console on a dedicated thread, for programs without an async runtime.
    ///
    /// The console runs until the process ends or you call [`Serving::stop`](crate::Serving::stop). Port 0 selects a
    /// free port; [`Serving::url`](crate::Serving::url) returns the address. There is no TLS: bind to a loopback
    /// address, or use a reverse proxy.
    ///
    /// To prevent DNS rebinding, the server refuses requests unless their `Host` is an IP address, `localhost` or
    /// [allowed](Self::allow_host).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use tripcoil::CircuitBreaker;
    /// use tripcoil_console::Console;
    ///
    /// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let serving = Console::new().breaker(&PAYMENTS).serve("127.0.0.1:0")?;
    /// println!("the breakers are at {}", serving.url());
    /// # serving.stop();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound or the thread cannot be started.
    #[cfg(feature = "serve")]
    #[cfg_attr(docsrs, doc(cfg(feature = "serve")))]
    pub fn serve(self, address: impl std::net::ToSocketAddrs) -> std::io::Result<crate::Serving> {
        crate::serve::serve(self.0, address)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("breakers", &self.0.sources.breakers.len())
            .field("registries", &self.0.sources.registries.len())
            .finish_non_exhaustive()
    }
}

/// A handle that closes the live connections of a console's pages, created by [`Console::closer`].
#[derive(Clone)]
pub struct Closer(Arc<Closing>);

impl Closer {
    /// Closes the live connections and refuses new ones with 503. The console still answers all other requests.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        self.0.samples.send_modify(|samples| *samples += 1);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
